"""An exam as objects of a DICOM study: key frames, what was said of them, what of the exam."""
