"""The detector of planes, structures and heads: its data, network, training and measuring."""
