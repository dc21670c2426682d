"""`neurosono build`: compile a bundle's members into an engine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle import Bundle


def build(
    bundle: Annotated[Path, typer.Argument(help="A bundle that carries its members' weights.")],
    engine: Annotated[str, typer.Option(help="openvino.")] = "openvino",
    precision: Annotated[str, typer.Option(help="f32, f16, bf16, or int8 with --cache.")] = "f32",
    members: Annotated[int | None, typer.Option(min=1, help="The first N only.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Frames of held-out patients, from `train prepare`.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write it there; - for stdout.")] = None,
) -> None:
    """Compile an engine, compare it with the float32 reference, and keep it if near enough."""
    from engine.bundle import Bundle
    from engine.contracts.errors import EngineUnavailableError, InputError
    from scripts.console import console, write_json_report

    if engine != "openvino":
        raise EngineUnavailableError(f"this release builds openvino engines, not {engine!r}")
    loaded = Bundle.load(bundle)
    if precision == "int8":
        from calibration.engines import add_int8
        from engine.contracts.cache import Cache

        if cache is None or members is not None:
            raise InputError("int8 takes all members, and held-out frames: name their --cache")
        parity = add_int8(loaded, Cache.load(cache)).to_json()
    else:
        from engine.build import build_openvino

        with console.status("building") as status:
            entry = build_openvino(
                loaded, precision, members, _frames(loaded, cache), status.update
            )
        parity = entry.parity
    for name, value in parity.items():
        console.print(f"  {name.replace('_', ' ')}: {value:.4g}")
    console.print(f"{bundle}: openvino {precision} built", soft_wrap=True)
    write_json_report(json, {"engine": engine, "precision": precision, "parity": parity})


def _frames(bundle: "Bundle", cache: Path | None) -> "NDArray[np.uint8]":
    """Return what to compare on: held-out frames where there are any, or phantoms."""
    import numpy as np

    from engine.build import CHECK_FRAMES
    from engine.contracts.cache import Cache
    from engine.preprocess import preprocess
    from stream.phantom.exam import PhantomSpec, exam_frames

    if cache is not None:
        frames = Cache.load(cache).frames
        return np.asarray(frames[np.linspace(0, len(frames) - 1, CHECK_FRAMES).astype(int)])
    pictures = exam_frames(PhantomSpec("normal", seconds=CHECK_FRAMES, fps=1.0))
    return np.stack(
        [preprocess(picture.pixels, bundle.manifest.preprocessing) for picture in pictures]
    )
