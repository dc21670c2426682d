"""Every error that neurosono raises on purpose.

A message is one sentence that says what failed, what was expected, and what to do. The command
line prints that sentence and exits with `exit_code`; anything else that escapes is a defect.

    NeurosonoError
    ├── InputError                   exit 2: what was given cannot be used; nothing was begun
    │   ├── SourceError                a clip, still, DICOM file or phantom cannot be opened
    │   ├── BundleError                a bundle is incomplete, altered or of another kind
    │   ├── OutputError                the place to write to cannot be written
    │   └── EngineUnavailableError     this host cannot run that engine or precision
    └── RunError                     exit 1: the job began; what was done up to here is kept
        ├── SourceBrokenError          a source broke in the middle; carries the frame
        ├── WireError                  a message is not ours, or of another version
        ├── EngineFailedError          the engine died, hung or gave non-finite numbers
        │   └── ServerAwayError          an inference server gave no answer; the next may come
        ├── ProcessFailedError         a child process did not start or died
        └── StoppedError               exit 130: the user pressed Ctrl-C
"""


class NeurosonoError(Exception):
    """Anything that neurosono foresees going wrong."""

    exit_code = 1


class InputError(NeurosonoError):
    """What was given cannot be used; nothing was begun."""

    exit_code = 2


class SourceError(InputError):
    """A source cannot be opened."""


class BundleError(InputError):
    """A bundle is incomplete, altered, or of another kind."""


class OutputError(InputError):
    """The place to write to cannot be written."""


class EngineUnavailableError(InputError):
    """This host cannot run the engine or the precision that was asked for."""


class RunError(NeurosonoError):
    """The job began and did not end well; what was done up to here is kept."""


class SourceBrokenError(RunError):
    """A source broke in the middle.

    `frame` is the index, over the whole exam, of the first frame that could not be read.
    """

    def __init__(self, message: str, frame: int) -> None:
        super().__init__(message)
        self.frame = frame


class WireError(RunError):
    """A message is not one of ours, or of another version."""


class EngineFailedError(RunError):
    """The engine died, hung, or gave numbers that are not finite."""


class ServerAwayError(EngineFailedError):
    """An inference server gave no answer in time; it is asked again with the next frame."""


class ProcessFailedError(RunError):
    """A child process did not start, or died."""


class StoppedError(RunError):
    """The user stopped it; 130 is the shell's code for that."""

    exit_code = 130


ERRORS_BY_NAME: dict[str, type[NeurosonoError]] = {
    kind.__name__: kind
    for kind in (
        NeurosonoError,
        InputError,
        SourceError,
        BundleError,
        OutputError,
        EngineUnavailableError,
        RunError,
        WireError,
        EngineFailedError,
        ServerAwayError,
        ProcessFailedError,
    )
}
"""The errors that can be carried between processes as a name and a sentence."""
