"""Real-time assist for prenatal neurosonography. Investigational: not for diagnosis."""

from neurosono.engine import __version__

__all__ = ["__version__"]
