"""A recorded exam in; an overlay video, a line a frame and the exam's result out.

This is the display process: it starts the capture and the engine process and ends with them.
"""

from collections.abc import Callable
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError, RunError, StoppedError
from neurosono.engine.contracts.result import ExamSnapshot
from neurosono.stream.processes.ledger import add_up, count_frames
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.outputs import open_outputs
from neurosono.stream.replay.realtime import open_realtime
from neurosono.stream.replay.session import LosslessSession
from neurosono.stream.replay.sink import Progress, Sink
from neurosono.stream.session.session import Session
from neurosono.stream.view.summary import describe_models


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
    bundle = options.load_bundle()
    student = options.load_student(bundle)
    readers = options.load_readers()
    outputs = open_sink(options, bundle)
    told = options, bundle, student, outputs, on_progress, readers
    session: Session
    try:
        if options.realtime:
            session = live = open_realtime(*told)
            exam = live.run().exam.snapshot()
        else:
            session = lossless = LosslessSession(*told)
            exam = lossless.run()
        if session.interrupted and not outputs.shown:
            outputs.abort()
            raise StoppedError("stopped before the first picture: nothing was written")
        return _conclude(session, exam, outputs)
    except InputError:
        outputs.abort()
        raise
    finally:
        outputs.close_files()


def _conclude(session: Session, exam: ExamSnapshot, outputs: Sink) -> dict[str, Any]:
    told = session.captured[-1] if session.ended else {}
    decoded = int(told.get("decoded", session.viewer.decoded))
    counted = count_frames(decoded, outputs.shown, exam)
    failure = session.failure
    if session.interrupted:
        failure = StoppedError(
            f"stopped after {outputs.shown} pictures: what was done up to there is kept"
        )
    elif failure is None and told.get("error") is not None:
        failure = RunError(told["error"])
    elif failure is None and not add_up(counted, told):
        failure = RunError(f"the frames do not add up: {counted}, and capture says {dict(told)}")
    readings = {name: reader.describe() for name, reader in session.readers.items()}
    for name, reading in readings.items():
        if failure is None and reading["frames"]["sampled"] != counted["sampled"]:
            failure = RunError(
                f"the frames of {name} do not add up: {reading['frames']}, of {counted}"
            )
    record = outputs.finish(
        exam,
        {
            "source": session.opened.get("source"),
            "complete": failure is None,
            "error": None if failure is None else str(failure),
            "broken_at_frame": told.get("frame"),
            "left_out": dict(session.opened.get("left_out", {})),
            "repaired_timestamps": told.get("repaired_timestamps"),
            **describe_models(session.bundle, session.student),
            "engine": session.engine,
            **({"readings": readings} if readings else {}),
        },
        counted,
    )
    if failure is not None:
        raise failure
    return record
