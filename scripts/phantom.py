"""`neurosono phantom`: a cohort of labelled synthetic exams, in the layout that training reads."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_EXAMS = 40


def phantom(
    out: Annotated[
        Path, typer.Option(help="A new folder: LABEL/PATIENT/clip_01.mp4 and cohort.csv.")
    ],
    exams: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"How many exams, dealt over the classes; by default {DEFAULT_EXAMS}."
        ),
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(
            help="Instead: exams of each class, as anencephaly=4,encephalocele=8,normal=40."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same cohort.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of each exam.")] = 6.0,
    structures: Annotated[
        bool,
        typer.Option(help="Also write where every structure stands, as clip_01.structures.json."),
    ] = False,
    ventricle_mm: Annotated[
        str | None,
        typer.Option(help="Draw the lateral ventricles between these widths, as 5:20, or one, 12."),
    ] = None,
    cut_mm: Annotated[
        float | None,
        typer.Option(help="Exams of ventricles that wide or wider go under ventriculomegaly."),
    ] = None,
    weeks: Annotated[
        str | None, typer.Option(help="Gestational age, as 19:24; by default 11:38.")
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option(help="Hold a plane instead of a sweep: transventricular, transthalamic ..."),
    ] = None,
    fps: Annotated[float, typer.Option(min=1, help="Pictures a second.")] = 25.0,
    finding: Annotated[
        str | None,
        typer.Option(
            help="Draw finding patterns in normal heads of 18 to 26 weeks, as all, or some of them "
            "by name, separated by commas, none among them being a control."
        ),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="Instead of clips: pictures of a transventricular and a transcerebellar plane of "
            "so many normal and abnormal fetuses, as 218:101, the published numbers."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Also list the exams there; - for stdout.")
    ] = None,
) -> None:
    """Generate labelled synthetic exams. They look like ultrasound and prove nothing about it."""
    from rich.progress import Progress

    from neurosono.engine.contracts.errors import InputError
    from neurosono.engine.contracts.labels import DEFAULT_LABELS
    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.phantom.cohort import write_cohort
    from neurosono.stream.phantom.patient import WEEKS_RANGE

    if counts is not None and exams is not None:
        raise InputError("give --counts or --exams, one of the two: --counts says how many exams")
    if finding is not None and (counts is not None or ventricle_mm is not None):
        raise InputError(
            "give --finding alone: --counts deals classes, and findings bring ventricles of their "
            "own width"
        )
    if pairs is not None:
        if any(each is not None for each in (exams, counts, ventricle_mm, finding, weeks, plane)):
            raise InputError("give --pairs alone, with --seed: pairs have findings of their own")
        _write_pairs(out, parse_pairs(pairs), seed, json)
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("exams", total=None)
        rows = write_cohort(
            out,
            exams=exams or DEFAULT_EXAMS,
            seed=seed,
            labels=DEFAULT_LABELS,
            seconds=seconds,
            counts=None if counts is None else parse_counts(counts),
            structures=structures,
            ventricle_mm=None if ventricle_mm is None else parse_range(ventricle_mm, VENTRICLES),
            cut_mm=cut_mm,
            weeks=WEEKS_RANGE if weeks is None else parse_range(weeks, WEEKS),
            plane=plane,
            fps=fps,
            findings=None if finding is None else parse_findings(finding),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(f"{len(rows)} exams in {out}", soft_wrap=True)
    write_json_report(json, {"out": str(out), "exams": len(rows), "seed": seed})


VENTRICLES = "--ventricle-mm is a width or a range, as 12 or 5:20"
WEEKS = "--weeks is a range, as 19:24"


def parse_range(text: str, expected: str) -> tuple[float, float]:
    """Return the least and largest of `least:largest`, or of one number."""
    from neurosono.engine.contracts.errors import InputError

    try:
        found = [float(part) for part in text.split(":")]
    except ValueError:
        found = []
    if len(found) not in (1, 2):
        raise InputError(f"{expected}; found {text!r}")
    return found[0], found[-1]


def parse_findings(text: str) -> list[str]:
    """Return the findings of a list with commas; `all` is every one, and a control."""
    from neurosono.engine.patterns.names import FINDINGS
    from neurosono.stream.phantom.spec import NO_FINDING

    if text.strip() == "all":
        return [NO_FINDING, *FINDINGS]
    return [name.strip() for name in text.split(",")]


def parse_counts(text: str) -> dict[str, int]:
    """Return how many exams of each label `label=number,label=number` asks for."""
    from neurosono.engine.contracts.errors import InputError

    found: dict[str, int] = {}
    for piece in text.split(","):
        label, _, number = (part.strip() for part in piece.partition("="))
        if not label or not number.isdecimal() or label in found:
            raise InputError(
                "--counts must be label=number, each label once, as anencephaly=4,normal=40; "
                f"found {piece!r}"
            )
        found[label] = int(number)
    return found


def _write_pairs(out: Path, counts: tuple[int, int], seed: int, json: Path | None) -> None:
    from rich.progress import Progress

    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.phantom.pairs import write_pairs

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("pairs", total=None)
        rows = write_pairs(
            out,
            normal=counts[0],
            abnormal=counts[1],
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(f"{sum(counts)} pairs in {out}", soft_wrap=True)
    told = {"out": str(out), "normal": counts[0], "abnormal": counts[1], "seed": seed}
    write_json_report(json, {**told, "pictures": rows})


def parse_pairs(text: str) -> tuple[int, int]:
    """Return how many normal and abnormal fetuses `normal:abnormal` asks for."""
    from neurosono.engine.contracts.errors import InputError

    parts = [part.strip() for part in text.split(":")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise InputError(f"pairs are normal:abnormal, as 218:101; found {text!r}")
    return int(parts[0]), int(parts[1])
