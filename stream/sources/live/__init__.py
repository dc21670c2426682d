"""Scanners: capture cards, network streams, and what stands in for them."""
