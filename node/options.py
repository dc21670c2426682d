"""What a node is asked."""

from dataclasses import dataclass, field

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.hospital.node import Node, check_title
from neurosono.stream.hospital.query import UTF_8, check_charset
from neurosono.stream.hospital.tls import Tls
from neurosono.stream.hospital.web import split_address


@dataclass(frozen=True)
class Listening:
    """Where a node listens, as whom, and who may store on it: AE titles, or with TLS anybody known.

    With `tls` both sides show a certificate. `scanners` are where those of them listen who ask for
    storage commitment.
    """

    host: str
    port: int
    title: str
    allowed: tuple[str, ...] = ()
    tls: Tls | None = None
    scanners: tuple[Node, ...] = ()

    def __post_init__(self) -> None:
        for title in (self.title, *self.allowed):
            check_title(title)
        if not self.allowed and self.tls is None:
            raise InputError(
                "say who may store here: --allow AE, once for each scanner, or mutual TLS with "
                "--cert, --key and --ca"
            )

    def admits(self, title: str) -> bool:
        """Return whether somebody of this title may store and ask."""
        return not self.allowed or title in self.allowed

    def find_scanner(self, title: str) -> Node | None:
        """Return where a sender listens itself; None where nobody said so."""
        return next((each for each in self.scanners if each.title == title), None)


@dataclass(frozen=True)
class Limits:
    """When a node refuses what it is sent, and how long it keeps what it has done."""

    most_waiting: int = 200
    least_free_bytes: int = 2_000_000_000
    keep_days: float = 30.0

    def __post_init__(self) -> None:
        if self.most_waiting < 1 or self.least_free_bytes < 0 or self.keep_days <= 0:
            raise InputError("a node waits with 1 study or more, and keeps for over 0 days")


@dataclass(frozen=True)
class Judging:
    """How a study is judged, and where what is found goes.

    `routes` are nodes by the AE title of whoever stored the study; `default` takes the rest, or
    the DICOMweb server whose root `stow` is. `mpps` is told when a study begins to be
    judged, and how that ended. `worklist` is asked for the order of a study that names none, and
    read in `charset` where it says none. `trusted_keys` is the list of keys of which one must have
    signed each bundle, None where nobody asks.
    """

    default: Node | None
    routes: dict[str, Node] = field(default_factory=dict)
    bundle: str = "demo"
    also: tuple[str, ...] = ()
    trusted_keys: str | None = None
    every: int = 1
    quiet_s: float = 10.0
    codes: str = "snomed"
    pdf: bool = False
    mpps: Node | None = None
    worklist: Node | None = None
    charset: str = UTF_8
    stow: str | None = None
    stow_tls: Tls | None = None

    def __post_init__(self) -> None:
        if self.default is None and self.stow is None and not self.routes:
            where = "--send AE@HOST:PORT, --stow URL, or --route FROM=AE@HOST:PORT"
            raise InputError(f"say where results go: {where}")
        if self.default is not None and self.stow is not None:
            raise InputError("results go to --send or to --stow, not to both")
        if self.stow is not None:
            split_address(self.stow)
        check_charset(self.charset)
        if self.every < 1 or self.quiet_s < 0:
            raise InputError("--every is 1 or more, --complete-after 0 s or more")

    def find_node(self, sender: str) -> Node | None:
        """Return where the results of a sender's studies go."""
        return self.routes.get(sender, self.default)

    def list_titles(self) -> set[str]:
        """Return the titles of all to whom results go."""
        nodes = (*self.routes.values(), self.default)
        return {each.title for each in nodes if each is not None}
