"""A recorded exam, from its files to its results."""
