"""For developers with an NVIDIA GPU: run the steps one after the other, each in its own process.

    python -m neurosono.scripts.gpu_check --out gpu --seconds 480 --steps engines pipeline

Each step writes `OUT/STEP.json` as it goes, and ends by itself.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence

from neurosono.scripts.gpu_check.record import make_parser

SHARES = {"engines": 3, "pipeline": 2, "structures": 2, "paper": 4, "pretraining": 2}
"""The steps, most worth first, and what of the time each gets, beside the others asked for."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the steps; returns 1 where one did not end well."""
    there = [name for name in SHARES if importlib.util.find_spec(f"{__package__}.{name}")]
    parser = make_parser(str(__doc__), 480)
    parser.add_argument("--steps", nargs="+", choices=there, default=there)
    options = parser.parse_args(words)
    given = [f"--out={options.out}", f"--workers={options.workers}"]
    given += [f"--data={options.data}"] if options.data else []
    given += [f"--only={options.only}"] if options.only else []
    given += ["--rehearse"] if options.rehearse else []
    shares, failed = sum(SHARES[name] for name in options.steps), []
    for name in options.steps:
        seconds = options.seconds * SHARES[name] / shares
        command = [sys.executable, "-m", f"{__package__}.{name}", f"--seconds={seconds:.0f}"]
        try:
            code = subprocess.run([*command, *given], timeout=2 * seconds + 30, check=False)
            failed += [name] if code.returncode else []
        except subprocess.TimeoutExpired:
            failed.append(name)
    print(f"failed: {failed}" if failed else "all steps ended", flush=True)  # noqa: T201
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
