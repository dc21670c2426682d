"""Six regions of two planes, and the verdict that they add up to."""
