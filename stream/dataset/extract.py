"""From a dataset of patients to a frame cache, through the very intake that replay uses."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter
from neurosono.engine.contracts.errors import InputError, RunError, SourceBrokenError, SourceError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.dataset.listing import Dataset, find_dataset
from neurosono.stream.dataset.media import BadFile, ExamMedia, Medium, give_reason, tell_bad_files
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import Picture, Source
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources import open_source
from neurosono.stream.sources.identity import Identity, count_identities

__all__ = ["extract", "find_bad_files", "find_dataset"]


def extract(
    dataset: Dataset,
    out: Path,
    *,
    spec: PreprocessingSpec,
    every: int,
    skip_bad: bool = False,
    watch: Callable[[], None] = lambda: None,
    check: Callable[[Cache], Mapping[str, Any]] = lambda _: {},
) -> Cache:
    """Write one picture in `every` of each file that carries evidence into a new cache at `out`.

    Skipped pictures (frozen, near-duplicate, Doppler, not ultrasound) are left out, as replay
    leaves them out, and counted in the summary. `watch` hears twice of each exam: its files open,
    it is extracted. `check` sees the whole cache before it is put in its place.

    Files that cannot be used stop it, `InputError` before anything is extracted, `RunError` where
    they break in the middle; with `skip_bad` they are left out as a whole, and listed in the
    summary. Raises `InputError` where a class has no usable frame. An error leaves no cache.
    """
    with CacheWriter(out, dataset.labels, spec, every, dataset.digest) as writer:
        bad = [*dataset.bad, *find_bad_files(dataset, watch)]
        if bad and not skip_bad:
            raise InputError(tell_bad_files(bad, dataset.files))
        broken: list[BadFile] = []
        counts: Counter[str] = Counter()
        used = Counter[str]()
        for exam in dataset.without(bad).exams:
            taken = _take_exam(exam, spec, every, broken)
            counts.update(taken.counts)
            for pixels, row in taken.frames:
                writer.add(pixels, row)
            used[exam.label] += len(taken.frames)
            watch()
        if broken and not skip_bad:
            raise RunError(tell_bad_files(broken, dataset.files))
        for label in dataset.labels:
            if not used[label]:
                raise InputError(f"class {label} has no usable frame: sample more often (--every)")
        return writer.finish(_tell(counts, [*bad, *broken, *dataset.others]), check)


def find_bad_files(dataset: Dataset, watch: Callable[[], None] = lambda: None) -> list[BadFile]:
    """Open every file and decode its first picture; return those of which that fails.

    Raises `InputError` where the headers of DICOM say that one exam is of several patients, or one
    patient stands under two names: she would be on both sides of a fold.
    """
    bad = []
    names: dict[bytes, str] = {}
    for exam in dataset.exams:
        identities: list[Identity] = []
        for medium in exam.media:
            try:
                identities.extend(open_source([str(medium.path)]).identities)
            except SourceError as error:
                bad.append(BadFile(medium.name, give_reason(error, medium.path)))
        _check_patients(exam, identities, names)
        watch()
    return bad


def _check_patients(
    exam: ExamMedia, identities: Sequence[Identity], names: dict[bytes, str]
) -> None:
    if count_identities(identities)[0] > 1:
        raise InputError(
            f"the DICOM headers of the exam of {exam.media[0].name} are of several patients: give "
            "each patient a folder, or a line in the table, of her own"
        )
    for identity in identities:
        before = names.setdefault(identity.get("PatientID", b""), exam.patient)
        if "PatientID" in identity and before != exam.patient:
            raise InputError(
                f"the DICOM header of {exam.media[0].name} has the PatientID of another patient, "
                f"{before!r}: give one patient one name, or she stands on both sides of a fold"
            )


def _tell(counts: Mapping[str, int], bad: Sequence[BadFile]) -> dict[str, Any]:
    whole = ("decoded", "sampled", "used")
    return {
        "frames": {
            **{name: counts[name] for name in whole},
            "skipped": {name: counts[name] for name in sorted(counts) if name not in whole},
        },
        "left_out": [{"path": each.told, "reason": each.reason} for each in bad],
    }


@dataclass
class _Taken:
    """What one exam gave; `counts` are its frames decoded, sampled, used, and skipped by reason."""

    frames: list[tuple[Pixels, CachedFrame]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def _take_exam(
    exam: ExamMedia, spec: PreprocessingSpec, every: int, broken: list[BadFile]
) -> _Taken:
    """Take an exam's frames; files that break are added to `broken`, and the exam is without them.

    An exam is held in memory until it is whole: what a file gave before it broke is no evidence.
    """
    try:
        return _take_frames(exam, spec, every)
    except SourceBrokenError as error:
        found = {each.name: each for medium in exam.media if (each := _find_break(medium))}
        if not found:
            raise RunError(f"{exam.media[0].name}: {error}; run the same command again") from error
        broken.extend(found.values())
        left = tuple(each for each in exam.media if each.name not in found)
        return _take_exam(replace(exam, media=left), spec, every, broken) if left else _Taken()


def _find_break(medium: Medium) -> BadFile | None:
    try:
        for _ in open_source([str(medium.path)]).pictures():
            pass
    except SourceBrokenError as error:
        return BadFile(
            medium.name, f"breaks at its picture {error.frame + 1}: {error.__cause__ or error}"
        )
    return None


@dataclass
class _ClipLog:
    """A source that remembers which clip each picture came from: the intake does not say."""

    source: Source
    clips: dict[int, int] = field(default_factory=dict)

    @property
    def description(self) -> str:
        return self.source.description

    def pictures(self) -> Iterator[Picture]:
        for picture in self.source.pictures():
            self.clips[picture.index] = picture.clip
            yield picture


def _take_frames(exam: ExamMedia, spec: PreprocessingSpec, every: int) -> _Taken:
    log = _ClipLog(open_source([str(each.path) for each in exam.media], mixed=True))
    intake = Intake(
        log,
        screen=Screen(),
        sampler=Sampler(every=every),
        gate=EvidenceGate(),
        spec=spec,
        stream_id="extract",
    )
    taken = _Taken()
    for each in intake.frames():
        taken.counts["decoded"] += 1
        if each.sampled is None:
            continue
        taken.counts["sampled"] += 1
        if each.sampled.pixels is None:
            taken.counts[str(each.sampled.skip_reason)] += 1
            continue
        taken.counts["used"] += 1
        clip = log.clips.pop(each.display.index)
        row = _describe(exam, clip, each.display.index, each.sampled.pts_s)
        taken.frames.append((each.sampled.pixels, row))
    return taken


def _describe(exam: ExamMedia, clip: int, frame: int, pts_s: float) -> CachedFrame:
    medium = exam.media[clip]
    return CachedFrame(
        path=medium.name,
        label=exam.label,
        patient=exam.patient,
        exam=exam.exam,
        clip=clip,
        frame=frame,
        pts_s=pts_s,
        gestational_weeks=medium.weeks,
        site=medium.site,
        plane=medium.plane,
    )
