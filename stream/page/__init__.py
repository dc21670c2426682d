"""The web page beside a scanner."""
