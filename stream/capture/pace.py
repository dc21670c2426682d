"""A recorded source at its own pace: a picture is not even decoded before it is due."""

from collections.abc import Callable, Iterator

from neurosono.stream.pictures.picture import Picture, Source


class PacedSource:
    """A `Source` that plays in real time.

    A live picture cannot be decoded ahead of its time, so neither is this one: otherwise its age
    would look younger than a live one's by all that decoding takes. `wait` returns once the moment
    `pts_s` of the source has come.
    """

    def __init__(self, source: Source, interval_s: float, wait: Callable[[float], None]) -> None:
        """`interval_s` is the usual time from a picture to the next."""
        self._source, self._interval_s, self._wait = source, interval_s, wait

    @property
    def description(self) -> str:
        """What the source is."""
        return self._source.description

    def pictures(self) -> Iterator[Picture]:
        """Decode in order, each picture once it is due as far as its forerunners tell.

        One that turns out to be due later waits until then. Raises as the source does.
        """
        pictures = self._source.pictures()
        last_s, interval_s = 0.0, self._interval_s
        while (picture := next(pictures, None)) is not None:
            self._wait(picture.pts_s)
            yield picture
            if picture.pts_s > last_s:
                interval_s = min(self._interval_s, picture.pts_s - last_s)
            last_s = picture.pts_s
            self._wait(last_s + interval_s)
