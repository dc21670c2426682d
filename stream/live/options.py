"""What a user asks of a live session, and what each process is told of it."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.stream.judge.options import Judging
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.sources.live.source import open_live


@dataclass(frozen=True)
class SessionOptions(Judging):
    """What the user asked of a live session."""

    source: str
    second_read: bool = False

    def check(self, bundle: Bundle) -> None:
        """Raise `InputError` where source or engine can never work: before anything is begun."""
        open_live(self.source).close()
        if self.region is not None:
            parse_region(self.region)
        if self.engine == "openvino":
            bundle.engine(self.engine, self.precision, self.members)

    def for_capture(self, bundle: Bundle, first_seq: int, first_index: int) -> dict[str, Any]:
        """Return what a capture process is told; another goes on where the one before stopped."""
        return {
            "stream_id": uuid.uuid4().hex,
            "source": self.source,
            "preprocessing": bundle.manifest.preprocessing.to_json(),
            "every": self.every,
            "rate_hz": self.rate_hz,
            "region": self.region,
            "show_screen": self.show_screen,
            "first_seq": first_seq,
            "first_index": first_index,
        }

    def for_engine(
        self, bundle: Bundle, exam: dict[str, Any] | None, avoid: Sequence[str]
    ) -> dict[str, Any]:
        """Return what an engine process is told: the state to go on from, and what failed here."""
        return asdict(self.describe_engine(bundle, realtime=True, exam=exam, avoid=avoid))
