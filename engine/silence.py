"""No call home: what the libraries beneath would report to their makers stays here.

`import openvino` alone posts to an analytics server, with an identifier of this machine that it
keeps in the user's home; NNCF does so by the same package, Ray from every cluster that it starts.
Whoever imports neurosono did not ask for that, so it is ended before any of them is imported, in
this process and, by the environment and by the same import, in every one that it starts.
"""

import os
import sys

REPORTER = "openvino_telemetry"
"""The package by which OpenVINO and NNCF report; both do without it where it is not installed."""

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1"}
"""Ray's own switch, and the one that many packages honour. What the user set stays."""


CHILD = "neurosono-child"
"""Python's option `-X` of a process that runs nothing but ours."""

CONVERTER = "openvino.tools.ovc"
"""What OpenVINO reads other libraries' networks with: 60 modules, and most of its `import`."""


def leave_out_converter() -> None:
    """Make `CONVERTER` impossible to import where Python was started with `CHILD`.

    `import openvino` does without it where it is not installed. In a program of others it stays.
    """
    if CHILD in sys._xoptions:
        sys.modules.setdefault(CONVERTER, None)  # type: ignore[arg-type]


def keep_silent() -> None:
    """Make `REPORTER` impossible to import and give `SETTINGS`.

    Where the program imported it earlier, what is sent from now on is dropped.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    sys.modules[REPORTER] = None  # type: ignore[assignment]  # Python's way to say: not there
    sender = sys.modules.get(f"{REPORTER}.utils.sender")
    if sender is not None:
        sender.TelemetrySender.send = lambda *_: None
