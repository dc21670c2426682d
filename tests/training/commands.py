"""Running a command of `neurosono train` in this process, as a user would."""

from typer.testing import CliRunner

from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.scripts.train.app import train_app


def run_train(*words: object) -> tuple[int, str]:
    """Return the exit code of `neurosono train WORDS`, and what it said; a fault is raised."""
    result = CliRunner().invoke(train_app, [str(word) for word in words])
    if isinstance(result.exception, NeurosonoError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
