"""A recording that is played once, as a live source would give it."""

from neurosono.stream.sources.exam_source import ExamSource
from neurosono.stream.sources.live.links import LOOP_PREFIX, Link, LinkKind
from neurosono.stream.sources.live.loop import RecordedFeed
from neurosono.stream.sources.live.source import LiveOptions, LiveSource


def play(recording: ExamSource, options: LiveOptions) -> LiveSource:
    """Return a live source that plays a recording once, at its pace, and then `is_over`.

    Its `take` raises `SourceBrokenError` after the last good picture where the recording breaks.
    """
    link = Link(LinkKind.LOOP, LOOP_PREFIX)
    return LiveSource(
        link, options, lambda _: RecordedFeed(lambda: recording, once=True), once=True
    )
