"""Offline: patients in, bundle out."""
