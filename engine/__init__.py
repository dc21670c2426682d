"""What a model is, and how pixels become a result."""

from neurosono.engine.silence import keep_silent

keep_silent()

__version__ = "0.1.0"
