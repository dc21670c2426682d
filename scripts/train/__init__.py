"""`neurosono train`: one file a verb."""
