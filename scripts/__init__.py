"""The commands: one small file a verb."""
