"""The gate: the network that refuses what is no fetal head or spine."""
