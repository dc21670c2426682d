"""A stand-in scanner that sends video over the network."""
