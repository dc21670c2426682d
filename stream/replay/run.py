"""A recorded exam in; an overlay video, a line a frame and the exam's result out.

This is the display process: it starts the capture and the engine process and ends with them.
"""

from collections.abc import Callable
from typing import Any

import cv2
import zmq

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.stream.processes.channel import make_socket_folder, remove_socket_folder
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.outputs import open_outputs
from neurosono.stream.replay.session import ReplaySession
from neurosono.stream.replay.sink import Progress, Sink


def replay(
    options: ReplayOptions,
    on_progress: Callable[[Progress], None] = lambda _: None,
    open_sink: Callable[[ReplayOptions, Bundle], Sink] = open_outputs,
) -> dict[str, Any]:
    """Replay one exam and return what its sink makes of it: as a rule what `exam.json` holds.

    Raises an `InputError` before anything is begun, and a `RunError` where it could not be ended:
    what was done up to there is then in `options.out`, with `complete` false in `exam.json`.
    """
    options.check_sources()
    cv2.setNumThreads(1)  # the other cores belong to decoding and the network
    bundle = Bundle.load(options.bundle)
    student = options.load_student(bundle)
    outputs = open_sink(options, bundle)
    folder = make_socket_folder()
    try:
        session = ReplaySession(options, bundle, student, outputs, on_progress)
        with zmq.Context() as context:
            return session.run(context, folder)
    except InputError:
        outputs.abort()
        raise
    finally:
        outputs.close_files()
        remove_socket_folder(folder)
