"""The detector of finding patterns: what it learns from, its thresholds, its figures."""
