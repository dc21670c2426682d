"""Smaller networks out of many: top, soup, student, and how they compare."""
