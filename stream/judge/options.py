"""What the engine process and a reader's process are told; travels as JSON."""

from dataclasses import dataclass
from typing import Any

from neurosono.engine.contracts.server import Server


@dataclass(frozen=True)
class EngineOptions:
    """What the engine process is told: lossless, or `newest_wins` for an answer that is soon."""

    bundle: str
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    threads: int = 0
    cam_hz: float = 5.0
    newest_wins: bool = False
    exam: dict[str, Any] | None = None
    """The state of an exam that an engine before this one had begun."""
    avoid: tuple[str, ...] = ()
    """Engines that failed in this session: the best other one takes over."""
    student: str | None = None
    """A bundle that judges every frame; `bundle` then judges as many as time allows. `engine`,
    `precision` and `members` are said of `bundle`: the student takes the best that it has."""
    trusted_keys: str | None = None
    """The list of keys of which one must have signed each bundle; None: nobody asks."""
    server: Server | None = None
    """Who judges where `engine` is `remote`."""


@dataclass(frozen=True)
class ReaderOptions:
    """What a reader's process is told: its `name` in the session, and its bundle."""

    name: str
    bundle: str
    newest_wins: bool = False
    trusted_keys: str | None = None
    """As in `EngineOptions`."""
    weeks: float | None = None
    """The gestational age, where it was told: of the exam that is running, and of no other."""
