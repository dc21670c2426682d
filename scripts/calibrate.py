"""`neurosono calibrate`: make a bundle's numbers mean what they say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from calibration.fit import Fitted
    from calibration.parity import Parity


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="A bundle made by `neurosono train`.")],
    cache: Annotated[
        Path | None,
        typer.Option(
            help="A frame cache of patients not trained on; without it, training's own "
            "out-of-fold predictions are used."
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Share of exams whose prediction set may miss the truth.")
    ] = 0.1,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also build the int8 OpenVINO engine; needs --cache.")
    ] = False,
    engine_only: Annotated[
        bool, typer.Option("--engine-only", help="Then drop the members' own weights.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Also write the result there; - for stdout.")
    ] = None,
) -> None:
    """Fit temperature and prediction sets on held-out patients; build the int8 engine."""
    from calibration.run import calibrate_bundle, judge_unseen, read_out_of_fold
    from engine.bundle import Bundle
    from engine.choice import open_engine
    from engine.contracts.cache import Cache
    from engine.contracts.errors import InputError
    from scripts.console import write_json_report
    from training.metrics import describe_both, shorten

    loaded = Bundle.load(bundle)
    held_out = None if cache is None else Cache.load(cache)
    if int8 and held_out is None:
        raise InputError("--int8 needs frames of held-out patients: name their --cache")
    if held_out is None:
        frames, of = read_out_of_fold(loaded), "out-of-fold predictions of single members"
    else:
        frames = judge_unseen(loaded, held_out, open_engine(loaded, "torch").backend)
        of = "unseen patients, the whole ensemble"
    measure = None if held_out is None else lambda found: shorten(describe_both(found))
    fitted = calibrate_bundle(loaded, frames, alpha, of, measure)
    parity = None
    if int8 and held_out is not None:
        from calibration.engines import add_int8

        parity = add_int8(Bundle.load(bundle), held_out)
    if engine_only:
        from calibration.engines import drop_members

        drop_members(bundle, "the engines hold them; the float32 weights would not fit")
    _print(fitted, parity)
    write_json_report(
        json,
        {
            "calibration": fitted.calibration.to_json(),
            "report": fitted.report,
            "int8": None if parity is None else parity.to_json(),
        },
    )


def _print(fitted: "Fitted", parity: "Parity | None") -> None:
    from rich.table import Table

    from scripts.console import console

    table = Table("", "before", "after", title="Calibration, on the exams it was fitted on")
    before, after = fitted.report["before"], fitted.report["after"]
    for level in ("frames", "exams"):
        for key in ("ece", "brier", "nll"):
            table.add_row(f"{level} {key}", f"{before[level][key]:.3f}", f"{after[level][key]:.3f}")
    console.print(table)
    checked = fitted.report["cross_checked"]
    if checked is not None:
        console.print(
            f"temperature {fitted.calibration.temperature:.3f}; on other patients: exam ECE "
            f"{checked['exam_ece_after']:.3f}, sets hold the truth in {checked['covered']:.1%} of "
            f"exams with {checked['mean_size']:.2f} classes"
        )
    if parity is not None:
        console.print(
            f"int8: probabilities differ by {parity.max_difference:.3f} at most, "
            f"{parity.top1_agreement:.2%} of {parity.frames} frames and "
            f"{parity.exam_agreement:.1%} of {parity.exams} exams agree with float32"
        )
