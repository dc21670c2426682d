"""A Triton model repository of a bundle: what many scanners ask together."""
