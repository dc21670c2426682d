"""On PYTHONPATH of a process and of its children: writes down whom each of them speaks to."""

import os
import sys


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        whom = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        host = whom[0] if isinstance(whom, tuple) else whom
        with open(os.environ["SPY_LOG"], "a") as log:  # noqa: PTH123
            log.write(f"{event} {host!r} {' '.join(sys.argv[:2])}\n")


with open(os.environ["SPY_LOG"], "a") as log:  # noqa: PTH123
    log.write(f"began {os.getpid()}\n")
sys.addaudithook(_note)
