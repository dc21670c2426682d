"""DICOM files, single and multi-frame."""
