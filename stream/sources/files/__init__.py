"""Recorded clips and stills, and folders of them."""
