"""One self-contained page of a recorded exam."""
