"""A picture, the region cut out of it, and its colours."""
