"""A labelled cohort of synthetic exams on disk, in the folders that training reads."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS, NORMAL_LABEL
from neurosono.engine.files import making_folder
from neurosono.stream.phantom.exam import (
    PhantomFrame,
    PhantomSpec,
    exam_frames,
    exam_site,
    gestational_weeks,
)
from neurosono.stream.phantom.fetus import find_fetus
from neurosono.stream.phantom.findings import suits_finding
from neurosono.stream.phantom.head import widest_ventricle_mm
from neurosono.stream.phantom.patient import WEEKS_RANGE, draw_patient, draw_weeks, random_stream

SCREENS_PX = ((800, 600), (640, 480), (720, 576), (768, 576))
"""Frame sizes met in recordings of scanners; dealt without regard to the label."""

VENTRICULOMEGALY = "ventriculomegaly"
"""The label of exams whose ventricles are drawn as wide as the cut or wider."""

LEAST_WEEKS = 0.5

CSV_COLUMNS = ("path", "patient", "exam", "label", "gestational_weeks", "seed", "site")
STRUCTURES_SCHEMA = "neurosono-phantom-structures/1"
STRUCTURES_SUFFIX = ".structures.json"

_CRF = "18"
"""x264's constant quality: speckle survives, a clip of 6 s takes about 3 MB."""


@dataclass(frozen=True)
class CohortExam:
    """One exam of a cohort: a row of `cohort.csv`, `path` relative to the cohort's folder."""

    path: str
    patient: str
    exam: str
    label: str
    gestational_weeks: float
    seed: int
    site: str


def write_cohort(
    out: Path,
    *,
    exams: int,
    seed: int,
    labels: Sequence[str] = DEFAULT_LABELS,
    seconds: float = 6.0,
    fps: float = 25.0,
    counts: Mapping[str, int] | None = None,
    structures: bool = False,
    ventricle_mm: tuple[float, float] | None = None,
    cut_mm: float | None = None,
    weeks: tuple[float, float] = WEEKS_RANGE,
    plane: str | None = None,
    findings: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[CohortExam]:
    """Write exams as `out/LABEL/PATIENT/clip_01.mp4` and `out/cohort.csv`; return its rows.

    Labels are dealt in equal turn, or by `counts`, whose sum is then the number of exams. Every
    exam is another patient. With `structures` the truth of every picture goes beside its clip, as
    `clip_01.structures.json`; with `ventricle_mm` each patient's lateral ventricles are drawn
    between these widths, as far as her head has room for them, and with `cut_mm` those of this
    width and over stand under `VENTRICULOMEGALY` instead of `normal`. Patients are of gestational
    `weeks`; `plane` is held from end to end instead of a sweep. With `findings` every exam is
    normal but for one of these, dealt in equal turn over patients of an age for them. The folder is
    made aside and renamed when it is whole. `progress` is called with (done, total) before the
    first and after each exam.

    Raises `InputError` for a label that no phantom has or numbers that make no cohort, and
    `OutputError` where `out` is not empty or cannot be written.
    """
    _check_cut(ventricle_mm, cut_mm, labels if counts is None else tuple(counts))
    if findings is not None:
        specs = deal_findings(exams, findings, seed, seconds, fps)
    else:
        dealt = _deal_labels(exams, labels, counts)
        numbers = _find_patients(seed, len(dealt), weeks)
        pairs = zip(numbers, dealt, strict=True)
        specs = [_spec_of(number, label, seed, seconds, fps) for number, label in pairs]
    specs = [replace(spec, plane=plane) for spec in specs]
    if ventricle_mm is not None:
        specs = [_widen(spec, ventricle_mm) for spec in specs]
    _refuse_occupied(out)
    rows = []
    try:
        with making_folder(out) as aside:
            for k, spec in enumerate(specs):
                if progress is not None:
                    progress(k, len(specs))
                rows.append(_write_exam(aside, spec, structures, cut_mm))
            _write_table(aside / "cohort.csv", rows)
    except (OSError, av.FFmpegError) as error:
        raise OutputError(
            f"the cohort cannot be written to {out} ({error.strerror or error}): "
            "name a folder that is empty or new, on a disk with room"
        ) from error
    if progress is not None:
        progress(len(specs), len(specs))
    return rows


def _deal_labels(exams: int, labels: Sequence[str], counts: Mapping[str, int] | None) -> list[str]:
    known = ", ".join(DEFAULT_LABELS)
    wanted = list(labels) if counts is None else list(counts)
    if not wanted or len(set(wanted)) != len(wanted):
        raise InputError(f"a cohort needs distinct labels, found {wanted!r}: choose among {known}")
    for label in wanted:
        if label not in DEFAULT_LABELS:
            raise InputError(f"phantom label {label!r} is unknown: choose among {known}")
    if counts is not None:
        if any(n < 0 for n in counts.values()) or sum(counts.values()) < 1:
            raise InputError(f"counts must be 0 or more and not all 0, found {dict(counts)!r}")
        return [label for label in wanted for _ in range(counts[label])]
    if exams < 1:
        raise InputError(f"a cohort needs at least 1 exam, found {exams}")
    return [wanted[k % len(wanted)] for k in range(exams)]


def _find_patients(seed: int, count: int, weeks: tuple[float, float]) -> list[int]:
    """Return the numbers of the first patients of this age; all of them count from 0."""
    low, high = weeks
    if low < WEEKS_RANGE[0] or high > WEEKS_RANGE[1] or high - low < LEAST_WEEKS:
        least, most = WEEKS_RANGE
        raise InputError(
            f"phantoms are of {least:g} to {most:g} weeks, and a cohort's span {LEAST_WEEKS} or "
            f"more: found {low:g} to {high:g}"
        )
    found: list[int] = []
    number = 0
    while len(found) < count:
        if low <= draw_weeks("cohort", max(seed, 0), number) <= high:
            found.append(number)
        number += 1
    return found


def _check_cut(
    ventricle_mm: tuple[float, float] | None, cut_mm: float | None, labels: Sequence[str]
) -> None:
    if cut_mm is not None and (ventricle_mm is None or set(labels) != {NORMAL_LABEL}):
        raise InputError(
            "a cohort is parted at a width only where its ventricles are drawn by width and all "
            f"its exams are else {NORMAL_LABEL}: give --ventricle-mm, --counts {NORMAL_LABEL}=N"
        )


def _spec_of(number: int, label: str, seed: int, seconds: float, fps: float) -> PhantomSpec:
    # The size is drawn by patient number alone, as all that a label must not move.
    rng = random_stream("cohort", max(seed, 0), number, "screen")
    width, height = SCREENS_PX[int(rng.integers(len(SCREENS_PX)))]
    return PhantomSpec(
        label=label,
        seed=seed,
        seconds=seconds,
        fps=fps,
        width_px=width,
        height_px=height,
        patient=number,
        namespace="cohort",
    )


def deal_findings(
    exams: int, findings: Sequence[str], seed: int, seconds: float, fps: float
) -> list[PhantomSpec]:
    """Return `exams` specifications, one a patient, findings in equal turn.

    Patients of no age for findings are passed over, whatever the finding. Raises `InputError` for
    a finding that is none, or that stands twice.
    """
    if not findings or len(set(findings)) != len(findings) or exams < 1:
        raise InputError(
            f"a cohort needs an exam and distinct findings, found {exams} and {list(findings)}"
        )
    specs: list[PhantomSpec] = []
    number = 0
    while len(specs) < exams:
        spec = _spec_of(number, "normal", seed, seconds, fps)
        spec = replace(spec, finding=findings[len(specs) % len(findings)])
        if suits_finding(draw_patient(spec.namespace, spec.seed, number)):
            specs.append(spec)
        number += 1
    return specs


def _refuse_occupied(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise OutputError(
            f"the cohort's folder {out} is already there and not empty: name a new or empty folder"
        )


def _widen(spec: PhantomSpec, range_mm: tuple[float, float]) -> PhantomSpec:
    low, high = range_mm
    if not low <= high:
        raise InputError(f"ventricles go from narrow to wide, found {low:g} to {high:g} mm")
    rng = random_stream(spec.namespace, spec.seed, spec.patient, "ventricles")
    room = widest_ventricle_mm(draw_patient(spec.namespace, spec.seed, spec.patient))
    return replace(spec, ventricle_mm=min(float(rng.uniform(low, high)), room))


def _write_exam(
    root: Path, spec: PhantomSpec, structures: bool, cut_mm: float | None
) -> CohortExam:
    patient = f"phantom-{spec.seed}-{spec.patient:04d}"
    wide = cut_mm is not None and spec.ventricle_mm is not None and spec.ventricle_mm >= cut_mm
    label = VENTRICULOMEGALY if wide else spec.label
    path = Path(label) / patient / "clip_01.mp4"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    told: list[dict[str, Any]] = []
    frames = (_note(frame, told) for frame in exam_frames(spec, structures))
    write_clip(root / path, frames, (spec.width_px, spec.height_px), spec.fps)
    if structures:
        write_structures((root / path).with_suffix(STRUCTURES_SUFFIX), spec, told)
    return CohortExam(
        path=path.as_posix(),
        patient=patient,
        exam=f"{patient}-1",
        label=label,
        gestational_weeks=round(gestational_weeks(spec), 2),
        seed=spec.seed,
        site=exam_site(spec),
    )


def _note(frame: PhantomFrame, told: list[dict[str, Any]]) -> Pixels:
    if frame.truth is not None:
        told.append(
            {
                "index": frame.index,
                "pts_s": round(frame.pts_s, 4),
                "kind": frame.kind,
                "region": list(frame.region),
                **frame.truth.to_dict(),
            }
        )
    return frame.pixels


def write_structures(path: Path, spec: PhantomSpec, frames: Sequence[Mapping[str, Any]]) -> None:
    """Write the truth of a clip's pictures as JSON; `docs/outputs.md` says what it holds."""
    found = {
        "schema": STRUCTURES_SCHEMA,
        "label": spec.label,
        "width_px": spec.width_px,
        "height_px": spec.height_px,
        "gestational_weeks": round(gestational_weeks(spec), 2),
        "ventricle_mm": find_fetus(spec).ventricle_mm,
        "finding": spec.finding,
        "frames": list(frames),
    }
    path.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")


def write_clip(path: Path, frames: Iterable[Pixels], size_px: tuple[int, int], fps: float) -> int:
    """Encode BGR frames (H, W, 3) as H.264 and return how many; odd sides lose their last pixel.

    Every frame in is a frame out: none is merged or dropped. Raises `OSError` where the file
    cannot be written.
    """
    width, height = (side - side % 2 for side in size_px)
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with av.open(str(path.absolute()), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # A fixed number of threads: the same frames give the same file on any machine.
        stream.options = {"crf": _CRF, "preset": "veryfast", "threads": "2"}
        stream.time_base = 1 / rate
        for pixels in frames:
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels[:height, :width]), format="bgr24"
            )
            picture.pts = count
            picture.time_base = 1 / rate
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
    return count


def _write_table(path: Path, rows: Sequence[CohortExam]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(CSV_COLUMNS)
        table.writerows([getattr(row, column) for column in CSV_COLUMNS] for row in rows)
