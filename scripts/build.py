"""`neurosono build`: compile a bundle's members into an engine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from neurosono.engine.build import CheckFrames
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache

EXAM_FRAMES = 8
"""Frames of each class's phantom exam that an engine is compared on, one a second."""

CACHE_FRAMES = 200
"""Frames of a cache, spread over all of it: the fewest on which 99.5 % is not all of them."""


def build(
    bundle: Annotated[Path, typer.Argument(help="A bundle that carries its members' weights.")],
    engine: Annotated[
        str,
        typer.Option(help="openvino, tensorrt-rtx (needs no GPU), or tensorrt (needs its GPU)."),
    ] = "openvino",
    precision: Annotated[
        str, typer.Option(help="f32, fp16, bf16, or int8 with --cache (not tensorrt-rtx).")
    ] = "f32",
    members: Annotated[int | None, typer.Option(min=1, help="The first N only.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Frames of held-out patients, from `train prepare`.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Build in a copy of the bundle, at this new place.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write it there; - for stdout.")] = None,
) -> None:
    """Compile an engine, compare it with the float32 reference, and keep it if near enough."""
    import shutil

    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.cache import Cache
    from neurosono.scripts.console import console, write_json_report

    loaded = Bundle.load(bundle)
    frames = None if cache is None else Cache.load(cache)
    if out is not None:
        from neurosono.engine.build import copy_bundle

        loaded = copy_bundle(loaded, out)
    try:
        with console.status("building") as status:
            built = _build(loaded, engine, precision, members, frames, status.update)
    except BaseException:
        if out is not None:
            shutil.rmtree(out, ignore_errors=True)
        raise
    for name, value in (built["parity"] | built["target"]).items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        console.print(f"  {name.replace('_', ' ')}: {shown}", highlight=False, soft_wrap=True)
    console.print(f"{loaded.root}: {engine} {built['precision']} built", soft_wrap=True)
    if engine == "openvino":
        from neurosono.engine.advice import advise

        built["advice"] = advise(Bundle.load(loaded.root), members)
        console.print(f"  {built['advice']}", highlight=False, soft_wrap=True)
    write_json_report(json, {"engine": engine, **built})


def _build(
    bundle: "Bundle",
    engine: str,
    precision: str,
    members: int | None,
    cache: "Cache | None",
    on_step: "Callable[[str], None]",
) -> "dict[str, Any]":
    from neurosono.engine.contracts.errors import InputError

    if precision == "int8" and engine in ("openvino", "tensorrt") and cache is None:
        raise InputError("int8 takes held-out frames that set its ranges: name their --cache")
    if precision == "int8" and engine == "openvino" and cache is not None:
        if members is not None:
            raise InputError("an OpenVINO int8 engine takes all members: leave --members out")
        from neurosono.calibration.engines import add_int8

        parity = add_int8(bundle, cache)
        return {"precision": precision, "parity": parity, "target": {"device": "CPU"}}
    from neurosono.engine.build import build_engine

    check = check_frames(bundle, cache)
    entry = build_engine(bundle, engine, precision, members, check, on_step)
    return {"precision": entry.precision, "parity": entry.parity, "target": entry.target}


def check_frames(bundle: "Bundle", cache: "Cache | None") -> "CheckFrames":
    """Return what to compare on: held-out frames where there are any, or phantoms.

    Phantoms are of the bundle's labels, or, where it has others, of all that phantoms have.
    """
    import numpy as np

    from neurosono.engine.build import CheckFrames
    from neurosono.engine.contracts.labels import DEFAULT_LABELS
    from neurosono.engine.preprocess import preprocess
    from neurosono.stream.phantom.exam import PhantomSpec, exam_frames

    if cache is not None:
        chosen = np.unique(np.linspace(0, len(cache.rows) - 1, CACHE_FRAMES).astype(int))
        names = [f"{cache.rows[row].patient}/{cache.rows[row].exam}" for row in chosen]
        _, exams = np.unique(names, return_inverse=True)
        return CheckFrames(np.asarray(cache.frames[chosen]), exams.astype(np.int64))
    frames, exams_of = [], []
    known = set(bundle.manifest.labels) <= set(DEFAULT_LABELS)
    for number, label in enumerate(bundle.manifest.labels if known else DEFAULT_LABELS):
        for picture in exam_frames(PhantomSpec(label, seconds=EXAM_FRAMES, fps=1.0)):
            frames.append(preprocess(picture.pixels, bundle.manifest.preprocessing))
            exams_of.append(number)
    return CheckFrames(np.stack(frames), np.array(exams_of, dtype=np.int64))
