"""What is to be seen at a moment, whoever draws it."""
