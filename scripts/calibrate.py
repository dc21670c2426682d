"""`neurosono calibrate`: make a bundle's numbers mean what they say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from neurosono.calibration.familiarity import Pictures
    from neurosono.calibration.report import Fitted
    from neurosono.engine.backends import Backend
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.engine.contracts.predictions import Predictions


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
    method: Annotated[
        str, typer.Option(help="Of frames: temperature, vector, or auto, which compares them.")
    ] = "auto",
    sensitivity: Annotated[
        str, typer.Option(help="Operating points for any anomaly, separated by commas.")
    ] = "0.9,0.95,0.99",
    false_alarms: Annotated[
        float, typer.Option(help="Share of normal exams in which the alarm may ever sound.")
    ] = 0.05,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also build the int8 OpenVINO engine; needs --cache.")
    ] = False,
    unlike: Annotated[
        Path | None,
        typer.Option(
            help="Real pictures of another kind than the patients', all of which must be refused "
            "as unfamiliar: made by `neurosono train gate prepare`; needs --cache."
        ),
    ] = None,
    like_plane: Annotated[
        str | None,
        typer.Option(help="The plane it is for: no generated picture of it is unlike."),
    ] = None,
    engine_only: Annotated[
        bool, typer.Option("--engine-only", help="Then drop the members' own weights.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Also write the result there; - for stdout.")
    ] = None,
) -> None:
    """Calibrate frames and exams, fit prediction sets and the alarm on held-out patients."""
    from neurosono.calibration.familiarity import add_familiarity
    from neurosono.calibration.fit import Wishes
    from neurosono.calibration.run import calibrate_bundle, judge_unseen, read_out_of_fold
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import check_json_place, console, write_json_report
    from neurosono.training.metrics.metrics import describe_both, shorten

    check_json_place(json)
    wishes = Wishes(alpha, method, _read_shares(sensitivity), false_alarms)
    loaded = Bundle.load(bundle)
    held_out = None if cache is None else Cache.load(cache)
    if held_out is None and (int8 or unlike is not None):
        asked = "--int8" if int8 else "--unlike"
        raise InputError(f"{asked} needs frames of held-out patients: name their --cache")
    others = None if unlike is None else read_unlike(unlike, like_plane, loaded)
    with console.status("judging and fitting"):
        if held_out is None:
            frames, of = read_out_of_fold(loaded), "out-of-fold predictions of single members"
        else:
            backend = _open_reference(loaded)
            of = f"unseen patients, the whole ensemble ({backend.name} {backend.precision})"
            frames = judge_unseen(loaded, held_out, backend)
        measure = None if held_out is None else lambda found: shorten(describe_both(found))
        fitted = calibrate_bundle(loaded, frames, wishes, of, measure)
    parities: dict[str, dict[str, float]] = {}
    familiarity: dict[str, Any] | None = None
    if held_out is not None:
        parities = _compare_engines(bundle, frames, held_out, backend.precision, int8=int8)
        with console.status("learning what is familiar"):
            familiarity = add_familiarity(Bundle.load(bundle), held_out, others)
    if engine_only:
        from neurosono.calibration.engines import drop_members

        drop_members(bundle, "the engines hold them; the float32 weights would not fit")
    _print(fitted, parities)
    _print_familiarity(familiarity)
    console.print(f"{bundle}: calibrated; see {bundle / 'report' / 'calibration.html'}")
    content = {"calibration": fitted.calibration.to_json(), "report": fitted.report}
    write_json_report(json, content | {"engines": parities, "familiarity": familiarity})


def _compare_engines(
    bundle: Path, frames: "Predictions", held_out: "Cache", precision: str, *, int8: bool
) -> dict[str, dict[str, float]]:
    from neurosono.calibration.engines import add_int8, check_engines
    from neurosono.engine.bundle import Bundle
    from neurosono.scripts.console import console

    with console.status("comparing engines with float32"):
        found: dict[str, dict[str, float]] = {}
        if precision == "f32":
            found = check_engines(Bundle.load(bundle), frames, held_out)
        if int8:
            found["int8"] = add_int8(Bundle.load(bundle), held_out)
    return found


def read_unlike(where: Path, like_plane: str | None, bundle: "Bundle") -> "Pictures":
    """Read pictures of another kind, averaged down to the bundle's size.

    Left out are generated ones of `like_plane`, which may be of the bundle's kind.
    """
    import cv2
    import numpy as np

    from neurosono.calibration.familiarity import Pictures
    from neurosono.engine.contracts.errors import InputError
    from neurosono.training.gate.data import GateData
    from neurosono.training.squares import PHANTOM

    found = GateData.load(where)
    planes = {row.plane for row in found.rows if row.source == PHANTOM}
    if like_plane is not None and like_plane not in planes:
        raise InputError(
            f"{where} has no generated pictures of the plane {like_plane!r}, only of "
            f"{sorted(planes)}: name one of them, or leave --like-plane out"
        )
    rows = [
        (at, row)
        for at, row in enumerate(found.rows)
        if row.source != PHANTOM or row.plane != like_plane
    ]
    size_px = bundle.manifest.preprocessing.size_px
    frames = [np.asarray(found.frames[at]) for at, _ in rows]
    if found.frames.shape[1] != size_px:
        frames = [cv2.resize(each, (size_px, size_px), interpolation=cv2.INTER_AREA)
                  for each in frames]  # fmt: skip
    return Pictures(np.stack(frames), np.array([row.patient for _, row in rows]))


def _print_familiarity(card: dict[str, Any] | None) -> None:
    from neurosono.scripts.console import console

    if card is None:
        console.print(
            "What is familiar was not learnt anew, for that takes frames of patients that trained "
            "nothing: name their --cache"
        )
        return
    for words, found in (("own kind", card["own"]), ("another kind", card["unlike"])):
        low, high = found["interval_95"]
        console.print(
            f"pictures of {words} refused as unfamiliar: {found['refused']:.1%} ({low:.1%} to "
            f"{high:.1%}) of {found['frames']}, by fits without their patients"
        )


def _read_shares(text: str) -> tuple[float, ...]:
    from neurosono.engine.contracts.errors import InputError

    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--sensitivity must be numbers between 0 and 1 separated by commas, found {text!r}"
        ) from error


def _open_reference(bundle: "Bundle") -> "Backend":
    """Open the members in float32, or, where only engines carry them, the best of those."""
    from neurosono.engine.choice import open_engine

    carried = all(member.file is not None for member in bundle.manifest.members)
    return open_engine(bundle, "torch" if carried else "openvino").backend


def _print(fitted: "Fitted", parities: dict[str, dict[str, float]]) -> None:
    from rich.table import Table

    from neurosono.engine.contracts.notice import NOTICE
    from neurosono.scripts.console import console

    checked = fitted.report["cross_checked"]
    where = "on the exams it was fitted on" if checked is None else "on patients left out"
    table = Table("", "before", "after", title=f"Calibration, {where}", caption=NOTICE)
    for level in ("frames", "exams"):
        found = fitted.report if checked is None else checked[level]
        for key in ("ece", "brier", "nll"):
            one, other = (
                found[when][level][key] if checked is None else found[when][key]
                for when in ("before", "after")
            )
            table.add_row(f"{level} {key}", f"{one:.3f}", f"{other:.3f}")
    if checked is not None:
        _add_promises(table, checked)
    console.print(table)
    for precision, parity in parities.items():
        console.print(
            f"{precision}: probabilities differ by {parity['max_difference']:.2g} at most, "
            f"{parity['top1_agreement']:.2%} of {parity['frames']:.0f} frames and "
            f"{parity['exam_agreement']:.1%} of {parity['exams']:.0f} exams agree with float32; "
            f"exam ECE {parity['exam_ece']:.3f} (float32 {parity['exam_ece_f32']:.3f})"
        )


def _add_promises(table: "Table", checked: dict[str, Any]) -> None:
    chance = checked["exams"]["expected_ece"]["mean"]
    table.add_row("exams ece by chance alone", "", f"{chance:.3f}")
    sets, alarm = checked["sets"], checked["alarm"]
    table.add_row("sets hold the truth", "", f"{sets['coverage']:.1%}")
    table.add_row("classes in a set", "", f"{sets['mean_size']:.2f}")
    for point in checked["operating_points"]:
        both = f"{point['sensitivity']:.1%} / {point['specificity']:.1%}"
        table.add_row(f"sens. / spec. at {point['wanted_sensitivity']:.0%}", "", both)
    if alarm is not None:
        table.add_row("normal exams with an alarm", "", f"{alarm['false_alarms']:.1%}")
        table.add_row("anomalous exams with it on", "", f"{alarm['sensitivity_at_end']:.1%}")
