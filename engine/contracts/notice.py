"""The sentence that stands on every screen, file and report."""

NOTICE = "Investigational: not for diagnosis."
