"""Whether a live argument can work at all, asked by a process that will not follow it itself."""

from neurosono.stream.sources import open_source
from neurosono.stream.sources.live.links import LOOP_PREFIX, LinkKind, check_srt, parse_link


def check_live(argument: str) -> None:
    """Raise `SourceError` where `open_live` would."""
    link = parse_link(argument)
    if link.kind is LinkKind.LOOP:
        open_source([argument.removeprefix(LOOP_PREFIX)], frame_threads=False)
    elif link.kind is LinkKind.SRT:
        check_srt()
