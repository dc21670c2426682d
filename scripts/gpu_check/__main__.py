"""For developers with an NVIDIA GPU: run the steps one after the other, each in its own process.

    python -m neurosono.scripts.gpu_check --out gpu --seconds 480 --steps engines

Each step writes `OUT/STEP.json` as it goes, and ends by itself. Options that are not known here
are passed on to the steps.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

SHARES = {"engines": 3, "pipeline": 2, "structures": 2, "paper": 4, "pretraining": 2}
"""The steps, most worth first, and what of the time each gets, beside the others asked for."""


def main() -> int:
    """Run the steps; returns 1 where one did not end well."""
    parser = argparse.ArgumentParser(description=__doc__)
    there = [name for name in SHARES if importlib.util.find_spec(f"{__package__}.{name}")]
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--steps", nargs="+", choices=there, default=there)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny sizes")
    options, others = parser.parse_known_args()
    shares, failed = sum(SHARES[name] for name in options.steps), []
    for name in options.steps:
        seconds = options.seconds * SHARES[name] / shares
        command = [sys.executable, "-m", f"{__package__}.{name}", "--out", str(options.out)]
        command += ["--seconds", f"{seconds:.0f}"]
        command += [] if options.data is None else ["--data", str(options.data)]
        command += (["--rehearse"] if options.rehearse else []) + others
        try:
            code = subprocess.run(command, timeout=2 * seconds + 30, check=False).returncode
        except subprocess.TimeoutExpired:
            code = 124
        if code:
            failed.append(name)
    print(f"failed: {failed}" if failed else "all steps ended", flush=True)  # noqa: T201
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
