"""`neurosono train prepare`: a dataset of patients into a frame cache."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from engine.contracts.cache import Cache

PAPER_EVERY = 80
"""One frame in 80 of a clip is kept (Qi et al. 2025)."""

DatasetArgument = Annotated[
    Path, typer.Argument(help="A folder of LABEL/PATIENT/*, or a cache made by `prepare`.")
]
EveryOption = Annotated[int, typer.Option(min=1, help="Keep one frame in N of each clip.")]
JsonOption = Annotated[Path | None, typer.Option(help="Also write the result there; - for stdout.")]


def prepare(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="The frame cache: a new folder.")],
    every: EveryOption = PAPER_EVERY,
    size_px: Annotated[int, typer.Option(help="Side of the network's input.")] = 224,
    json: JsonOption = None,
) -> None:
    """Extract a dataset into a frame cache, once; with the very pixels that a replay sees."""
    from scripts.console import write_json_report

    cache = _extract(dataset, out, every, size_px)
    write_json_report(json, _count(cache))


def open_cache(dataset: Path, cache: Path | None, out: Path, every: int) -> "Cache":
    """Open a cache, or make it; an old one is used only if it is of this very dataset."""
    from engine.contracts.cache import SUMMARY_NAME, Cache
    from engine.contracts.errors import InputError
    from stream.extract import find_dataset

    if (dataset / SUMMARY_NAME).is_file():
        return Cache.load(dataset)
    where = cache or out.with_name(out.name + ".cache")
    if not where.exists():
        return _extract(dataset, where, every, 224)
    found = Cache.load(where)
    if found.source_digest != find_dataset(dataset).digest or found.every != every:
        raise InputError(
            f"cache {where} was made of another dataset or another --every: remove it, or name "
            "another --cache"
        )
    return found


def _extract(dataset: Path, out: Path, every: int, size_px: int) -> "Cache":
    from rich.progress import Progress

    from engine.contracts.preprocessing import PreprocessingSpec
    from scripts.console import console
    from stream.extract import extract, find_dataset

    found = find_dataset(dataset)
    spec = PreprocessingSpec(size_px=size_px, resize_px=max(size_px, round(size_px * 256 / 224)))
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("extracting patients", total=len(found.patients))
        cache = extract(found, out, spec=spec, every=every, watch=lambda _: bar.advance(task))
    for label, count in _count(cache)["classes"].items():
        console.print(f"{label}: {count['patients']} patients, {count['frames']} frames")
    return cache


def _count(cache: "Cache") -> dict[str, Any]:
    import json

    from engine.contracts.cache import SUMMARY_NAME

    summary: dict[str, Any] = json.loads((cache.root / SUMMARY_NAME).read_bytes())
    return {"cache": str(cache.root), "frames": len(cache.rows), "classes": summary["classes"]}
