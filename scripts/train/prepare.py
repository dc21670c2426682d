"""`neurosono train prepare`: a dataset of patients into a frame cache, audited."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neurosono.engine.contracts.cache import Cache

PAPER_EVERY = 80
"""One frame in 80 of a clip is kept (Qi et al. 2025)."""

LISTED_PATIENTS = 40
"""More patients than that are summed up on the screen; `--json` has them all."""

DatasetArgument = Annotated[
    Path,
    typer.Argument(
        help="A folder of LABEL/PATIENT/*, a table of files (.csv, .parquet), or a cache made by "
        "`prepare`."
    ),
]
EveryOption = Annotated[int, typer.Option(min=1, help="Keep one frame in N of each clip.")]
JsonOption = Annotated[Path | None, typer.Option(help="Also write the result there; - for stdout.")]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out files that cannot be used, and say so.")
]
AllowCopiesOption = Annotated[
    bool, typer.Option("--allow-copies", help="Let pictures pass that stand under two patients.")
]


def prepare(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="The frame cache: a new folder.")],
    every: EveryOption = PAPER_EVERY,
    size_px: Annotated[int, typer.Option(min=32, help="Side of the network's input.")] = 224,
    labels: Annotated[
        str | None,
        typer.Option(help="The labels that there may be, in their order: a,b,c. Others stop it."),
    ] = None,
    skip_bad: SkipBadOption = False,
    allow_copies: AllowCopiesOption = False,
    json: JsonOption = None,
) -> None:
    """Extract a dataset into a frame cache, once; with the very pixels that a replay sees.

    A table has a line a file, with the columns path (relative to the table), patient and label, and
    where known exam, site, gestational_weeks, plane.
    """
    from neurosono.scripts.console import check_json_place, write_json_report

    check_json_place(json)
    wanted = None if labels is None else [label.strip() for label in labels.split(",")]
    cache = _extract(dataset, out, every, size_px, wanted, skip_bad, allow_copies)
    write_json_report(json, _report(cache))


def open_cache(
    dataset: Path,
    cache: Path | None,
    out: Path,
    every: int,
    skip_bad: bool = False,
    allow_copies: bool = False,
) -> "Cache":
    """Open a cache, or make it; an old one is used only if it is of this very dataset."""
    from neurosono.engine.contracts.cache import SUMMARY_NAME, Cache
    from neurosono.engine.contracts.errors import InputError
    from neurosono.stream.dataset.listing import find_dataset

    if (dataset / SUMMARY_NAME).is_file():
        return Cache.load(dataset)
    where = cache or out.with_name(out.name + ".cache")
    if not where.exists():
        return _extract(dataset, where, every, skip_bad=skip_bad, allow_copies=allow_copies)
    found = Cache.load(where)
    # Labels of a table may have been named by hand when the cache was made.
    now = find_dataset(dataset, found.labels if dataset.is_file() else None)
    if found.source_digest != now.digest or found.every != every:
        raise InputError(
            f"cache {where} was made of another dataset or another --every: remove it, or name "
            "another --cache"
        )
    return found


def _extract(
    dataset: Path,
    out: Path,
    every: int,
    size_px: int = 224,
    labels: list[str] | None = None,
    skip_bad: bool = False,
    allow_copies: bool = False,
) -> "Cache":

    from neurosono.engine.contracts.preprocessing import PreprocessingSpec
    from neurosono.scripts.console import counting
    from neurosono.stream.dataset.extract import extract
    from neurosono.stream.dataset.listing import find_dataset

    found = find_dataset(dataset, labels)
    spec = PreprocessingSpec(size_px=size_px, resize_px=max(size_px, round(size_px * 256 / 224)))
    # Each exam is heard of twice: its files open, it is extracted.
    with counting("extracting exams", 2 * len(found.exams)) as watch:
        cache = extract(
            found,
            out,
            spec=spec,
            every=every,
            skip_bad=skip_bad,
            watch=watch,
            check=_make_audit(allow_copies),
        )
    _print_summary(_report(cache))
    return cache


def _make_audit(allow_copies: bool) -> "Callable[[Cache], Mapping[str, Any]]":
    from neurosono.engine.contracts.errors import InputError
    from neurosono.training.audit import ALLOWED_KEY, COPIES_KEY, find_copies, tell_copies

    def check(cache: "Cache") -> Mapping[str, Any]:
        copies = find_copies(cache)
        if copies and not allow_copies:
            raise InputError(tell_copies(cache, copies))
        rows = [[each.first, each.second] for each in copies]
        return {COPIES_KEY: rows, ALLOWED_KEY: True} if copies else {COPIES_KEY: []}

    return check


def _report(cache: "Cache") -> dict[str, Any]:
    """Say what is in a cache without naming a patient: neither by her name nor by her files'."""
    from neurosono.engine.contracts.cache import pseudonym
    from neurosono.engine.contracts.notice import NOTICE

    summary = cache.summary
    exams: dict[str, set[str]] = {patient: set() for patient in cache.label_of_patient}
    for row in cache.rows:
        exams[row.patient].add(row.exam)
    return {
        "notice": NOTICE,
        "cache": str(cache.root),
        "digest": cache.digest,
        "frames": len(cache.rows),
        "decoded": summary.get("frames", {}).get("decoded"),
        "sampled": summary.get("frames", {}).get("sampled"),
        "skipped": summary.get("frames", {}).get("skipped", {}),
        "files_left_out": len(summary.get("left_out", [])),
        "pairs_of_copies_allowed": len(summary.get("copies", [])),
        "classes": summary["classes"],
        "sites": summary.get("sites", {}),
        "patients": {
            pseudonym(patient, cache.digest): {
                "label": label,
                "exams": len(exams[patient]),
                "frames": summary["frames_by_patient"][patient],
            }
            for patient, label in cache.label_of_patient.items()
        },
    }


def _print_summary(report: dict[str, Any]) -> None:
    from rich.table import Table

    from neurosono.scripts.console import console

    for name, column in (("class", "classes"), ("site", "sites")):
        table = Table(name, "patients", "frames")
        for value, count in report[column].items():
            table.add_row(value or "unknown", str(count["patients"]), str(count["frames"]))
        console.print(table)
    patients = report["patients"]
    if len(patients) <= LISTED_PATIENTS:
        table = Table("patient", "label", "exams", "frames")
        for name, each in patients.items():
            table.add_row(name, each["label"], str(each["exams"]), str(each["frames"]))
        console.print(table)
    frames = [each["frames"] for each in patients.values()]
    console.print(f"{len(patients)} patients with {min(frames)} to {max(frames)} frames each")
    skipped = ", ".join(f"{count} {reason}" for reason, count in report["skipped"].items())
    console.print(
        f"{report['decoded']} frames decoded, {report['sampled']} sampled, {report['frames']} "
        f"used; skipped: {skipped or 'none'}"
    )
    if report["files_left_out"]:
        console.print(
            f"files not used: {report['files_left_out']}; the cache's cache.json lists them, each "
            "with its reason",
            style="yellow",
        )
    if report["pairs_of_copies_allowed"]:
        console.print(
            "pairs of files that show the same picture under two patients, and were allowed: "
            f"{report['pairs_of_copies_allowed']}; every figure measured on them will be too good",
            style="yellow",
        )
    console.print(report["notice"])
