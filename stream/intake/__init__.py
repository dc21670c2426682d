"""What becomes of a picture on its way in: sampled, looked at, counted as evidence or not."""
