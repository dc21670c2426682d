"""Finding patterns beside the normal structures: which there are, and what they add up to."""
