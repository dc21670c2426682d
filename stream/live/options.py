"""What a user asks of a live session."""

from dataclasses import dataclass

from neurosono.engine.bundle import Bundle
from neurosono.stream.capture.options import Pace
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.session.options import Judging
from neurosono.stream.sources.live.check import check_live


@dataclass(frozen=True)
class SessionOptions(Judging):
    """What the user asked of a live session."""

    source: str
    second_read: bool = False

    @property
    def played(self) -> tuple[str, ...]:
        """The source that is followed."""
        return (self.source,)

    @property
    def pace(self) -> Pace:
        """How it is followed."""
        return Pace.LIVE

    def check(self, bundle: Bundle) -> None:
        """Raise `InputError` where source or engine can never work: before anything is begun."""
        check_live(self.source)
        if self.region is not None:
            parse_region(self.region)
        if self.engine == "openvino":
            bundle.engine(self.engine, self.precision, self.members)
