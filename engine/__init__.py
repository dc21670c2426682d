"""What a model is, and how pixels become a result."""

from neurosono.engine.silence import keep_silent, leave_out_converter

keep_silent()
leave_out_converter()

__version__ = "0.1.0"
