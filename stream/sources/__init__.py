"""Where pictures come from: clips, stills, DICOM, folders of them, and the phantom, as one exam."""

from neurosono.stream.sources.exam_source import ExamSource, open_source

__all__ = ["ExamSource", "open_source"]
