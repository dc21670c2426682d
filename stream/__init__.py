"""Live pixels in, overlay out."""
