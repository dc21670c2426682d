"""Real-time assist for prenatal neurosonography. Investigational: not for diagnosis.

The front door: what other programs import. Nothing is loaded before it is asked for.

    for picture, result in neurosono.judge("clip.mp4", bundle="demo"):
        print(result.pts_s, result.exam["normal"])
    answer = neurosono.open_bundle("demo").judge(array)  # one region, (H, W) uint8
    with neurosono.live("/dev/video0") as moments:
        for moment in moments:
            print(moment.ai, moment.result and moment.result.exam["normal"])

Errors are the tree in `neurosono.engine.contracts.errors`; all of them are `NeurosonoError`.
"""

import importlib
from typing import TYPE_CHECKING

from neurosono.engine import __version__

if TYPE_CHECKING:
    from neurosono.beside import LiveResults as LiveResults
    from neurosono.beside import Moment as Moment
    from neurosono.beside import live as live
    from neurosono.bundles import OpenBundle as OpenBundle
    from neurosono.bundles import OpenReader as OpenReader
    from neurosono.bundles import open_bundle as open_bundle
    from neurosono.bundles import wrap_network as wrap_network
    from neurosono.engine.backends import Ahead as Ahead
    from neurosono.engine.backends import Backend as Backend
    from neurosono.engine.backends import Inference as Inference
    from neurosono.engine.contracts.errors import BundleError as BundleError
    from neurosono.engine.contracts.errors import EngineFailedError as EngineFailedError
    from neurosono.engine.contracts.errors import EngineUnavailableError as EngineUnavailableError
    from neurosono.engine.contracts.errors import InputError as InputError
    from neurosono.engine.contracts.errors import NeurosonoError as NeurosonoError
    from neurosono.engine.contracts.errors import OutputError as OutputError
    from neurosono.engine.contracts.errors import ProcessFailedError as ProcessFailedError
    from neurosono.engine.contracts.errors import RunError as RunError
    from neurosono.engine.contracts.errors import ServerAwayError as ServerAwayError
    from neurosono.engine.contracts.errors import SourceBrokenError as SourceBrokenError
    from neurosono.engine.contracts.errors import SourceError as SourceError
    from neurosono.engine.contracts.errors import StoppedError as StoppedError
    from neurosono.engine.contracts.errors import WireError as WireError
    from neurosono.engine.contracts.frame import DisplayFrame as DisplayFrame
    from neurosono.engine.contracts.frame import Scaled as Scaled
    from neurosono.engine.contracts.frame import ScaleSource as ScaleSource
    from neurosono.engine.contracts.frame import SkipReason as SkipReason
    from neurosono.engine.contracts.notice import NOTICE as NOTICE
    from neurosono.engine.contracts.preprocessing import PreprocessingSpec as PreprocessingSpec
    from neurosono.engine.contracts.result import ExamState as ExamState
    from neurosono.engine.contracts.server import Server as Server
    from neurosono.exams import judge as judge
    from neurosono.results import ExamResult as ExamResult
    from neurosono.results import FrameResult as FrameResult
    from neurosono.stream.pictures.picture import Picture as Picture
    from neurosono.stream.pictures.picture import Source as Source
    from neurosono.stream.replay.options import ReplayOptions as ReplayOptions
    from neurosono.stream.replay.run import replay as replay
    from neurosono.stream.replay.sink import Progress as Progress
    from neurosono.stream.replay.sink import Sink as Sink
    from neurosono.stream.view.state import AiState as AiState
    from neurosono.stream.view.state import OverlayState as OverlayState
    from neurosono.stream.view.words import percentage as percentage

_ROOMS = {
    "beside": "LiveResults Moment live",
    "bundles": "OpenBundle OpenReader open_bundle wrap_network",
    "engine.backends": "Ahead Backend Inference",
    "engine.contracts.errors": "BundleError EngineFailedError EngineUnavailableError InputError "
    "NeurosonoError OutputError ProcessFailedError RunError ServerAwayError SourceBrokenError "
    "SourceError StoppedError WireError",
    "engine.contracts.frame": "DisplayFrame Scaled ScaleSource SkipReason",
    "engine.contracts.notice": "NOTICE",
    "engine.contracts.preprocessing": "PreprocessingSpec",
    "engine.contracts.result": "ExamState",
    "engine.contracts.server": "Server",
    "exams": "judge",
    "results": "ExamResult FrameResult",
    "stream.pictures.picture": "Picture Source",
    "stream.replay.options": "ReplayOptions",
    "stream.replay.run": "replay",
    "stream.replay.sink": "Progress Sink",
    "stream.view.state": "AiState OverlayState",
    "stream.view.words": "percentage",
}
"""Where each name of the front door lives."""

_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = ["__version__", *sorted(_ROOM_OF)]  # noqa: PLE0604 (all are strings)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load what is asked for, once."""
        if name not in _ROOM_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return __all__
