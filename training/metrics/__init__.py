"""Figures of merit, their ranking and their intervals."""
