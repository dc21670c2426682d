"""The letter finder: a small network taught on rendered text to tell letters from tissue."""
