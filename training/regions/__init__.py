"""Six regions of two planes, and a verdict: learnt on phantom pairs, tried on real ones."""
