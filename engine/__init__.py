"""What a model is, and how pixels become a result."""

__version__ = "0.1.0"
