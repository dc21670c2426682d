"""Fitting networks: batches, schedule, members, workers."""
