"""Masked autoencoding: a transformer learns from pictures that nobody labelled."""
