"""A whole archive into a CSV of one's own: every file or folder in it is an exam, and gets a line.

python examples/archive.py archive/ results.csv

`neurosono archive` makes such a table on all cores, and goes on when it was killed.
"""

import csv
import sys
from pathlib import Path

import neurosono


def judge_exam(path: Path, bundle: neurosono.OpenBundle) -> dict[str, object]:
    """Return an exam's line; what cannot be read to its end says so, and keeps what came before."""
    line: dict[str, object] = {"exam": path.name, "error": ""}
    exam = None
    try:
        for _, result in neurosono.judge(path, bundle, every=5):
            exam = result.exam
    except neurosono.NeurosonoError as error:
        line["error"] = str(error)
    if exam is not None:
        line |= {"prediction": exam.prediction, "state": exam.state, "alarm": exam.alarm}
        line |= {"used": exam.used, "skipped": sum(exam.skipped.values()), **exam}
    return line


def main(archive: Path, table: Path) -> None:
    """Judge all there is in `archive`, in the order of its names."""
    bundle = neurosono.open_bundle("demo")
    columns = ["exam", "prediction", "state", "alarm", "used", "skipped", *bundle.labels, "error"]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for path in sorted(archive.iterdir()):
            writer.writerow(judge_exam(path, bundle))
    print(f"{table}: bundle {bundle.digest[:12]}. {neurosono.NOTICE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
