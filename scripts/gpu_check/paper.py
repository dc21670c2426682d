"""The paper in full on a GPU: a member of full width for each patient with an anomaly, left out.

    python -m neurosono.scripts.gpu_check.paper --data DIR --out OUT --seconds 330

DIR holds three caches, as folders or packed (see `packing`): `paper`, the cohort with the paper's
counts; `start`, other patients, who train what the members start from, as ImageNet's weights are
not always at hand; `unseen`, whom nobody was trained on. The number of epochs follows from the
speed that is measured on the way. `paper.json` is written again after each part, and what the
figures can be made of again is `paper-kept.zip`. `--rehearse` does the same with tiny networks and
a few pictures, without DIR with drawn ones; its figures mean nothing.
"""

import argparse
from collections.abc import Sequence

from neurosono.scripts.gpu_check.paper_parts import Paper
from neurosono.scripts.gpu_check.record import Record, make_parser, run_step


def run(record: Record, options: argparse.Namespace) -> None:
    """Run every part within the seconds."""
    step = Paper(record, options.workers, options.rehearse)
    record.attempt("data", 0, lambda: step.prepare(options.data))
    record.attempt("start", 0, step.train_start)
    record.attempt("members", 0, step.train_members)
    record.attempt("kept", 0, step.keep)
    record.attempt("sizes", 0, step.measure_sizes)
    record.attempt("figures", 0, step.read_figures)


def main(words: Sequence[str] | None = None) -> int:
    """Run the step by the command line; returns 1 where a part failed."""
    return run_step("paper", make_parser(__doc__, 330), run, words, needs="data", in_memory=True)


if __name__ == "__main__":
    raise SystemExit(main())
