"""What every part of neurosono agrees on; needs only the standard library and NumPy."""
