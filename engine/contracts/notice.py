"""The sentence that stands on every screen, file and report, and who made what is in a study."""

NOTICE = "Investigational: not for diagnosis."
MAKER = "neurosono"
"""The manufacturer that our DICOM objects name."""
