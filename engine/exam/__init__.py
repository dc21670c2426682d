"""What frames add up to: the exam, its interval, its alarm, a pair of models."""
