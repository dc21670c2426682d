"""The drawn overlay, and video of it."""
