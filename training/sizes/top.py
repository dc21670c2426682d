"""A chosen few: the members that together judge best, in the order in which they help.

Greedy forward selection (Caruana et al. 2004, "Ensemble selection from libraries of models"),
without replacement: a member that counts twice would cost twice.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.bundle import Bundle, write_json
from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import check_fits, check_unseen, judge, salt_of
from neurosono.engine.members import load_member
from neurosono.engine.network import Ensemble
from neurosono.training.fit.steps import find_device
from neurosono.training.sizes.derivation import HISTORY_PATH, Derivation, name_patients, seen_by

CRITERIA = ("log-loss", "accuracy", "validation")


@dataclass(frozen=True)
class Choice:
    """One step: the member taken, and what all those taken so far are worth together.

    `accuracy` and `log_loss` (nats) are of the selection's exams; by validation they are the
    member's own, of frames of its validation patients.
    """

    member: str
    accuracy: float
    log_loss: float


def choose(
    members: Sequence[Predictions], names: Sequence[str], count: int, by: str = "log-loss"
) -> list[tuple[int, Choice]]:
    """Take `count` members one by one, each the one that helps those before it most.

    `members` are each member's predictions of the same frames; what is minimised is the log-loss of
    the exams, or maximised their accuracy, ties going to the log-loss and then to the first.
    Returns the members' numbers with what was reached.
    """
    exams = [each.by_exam() for each in members]
    targets = exams[0].targets
    total = np.zeros_like(exams[0].probabilities)
    taken: list[tuple[int, Choice]] = []
    while len(taken) < count:
        left = [number for number in range(len(exams)) if number not in {n for n, _ in taken}]
        scores = {
            number: _score((total + exams[number].probabilities) / (len(taken) + 1), targets)
            for number in left
        }
        best = min(left, key=lambda number: _rank(*scores[number], by))
        total = total + exams[best].probabilities
        taken.append((best, Choice(names[best], *scores[best])))
    return taken


def _score(probabilities: Floats, targets: Integers) -> tuple[float, float]:
    """Return accuracy and mean log-loss."""
    chosen = probabilities[np.arange(len(targets)), targets]
    loss = -np.log(np.clip(chosen, 1e-12, 1)).mean()
    return float((probabilities.argmax(1) == targets).mean()), float(loss)


def _rank(accuracy: float, loss: float, by: str) -> tuple[float, float]:
    return (loss, -accuracy) if by == "log-loss" else (-accuracy, loss)


def rank_by_validation(bundle: Bundle) -> list[tuple[int, Choice]]:
    """Order all members by their best epoch, as training's history has it, the best first.

    Each was validated on patients of its own, so this is a ranking of single members, blind to how
    they complement each other. Raises `InputError` where the bundle has no history of them.
    """
    path = bundle.root / HISTORY_PATH
    members = bundle.manifest.members
    try:
        history = json.loads(path.read_bytes())
        found = [_best_epoch(epochs, bundle.manifest.preprocessing.size_px) for epochs in history]
        if len(found) != len(members):
            raise ValueError(f"it is of {len(found)} members, the bundle has {len(members)}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} does not tell how members were validated ({error}): name a --cache of "
            "held-out patients to choose by"
        ) from error
    ranked = [(n, Choice(members[n].name, *score)) for n, score in enumerate(found)]
    return sorted(ranked, key=lambda each: (-each[1].accuracy, each[1].log_loss))


def _best_epoch(epochs: list[dict[str, float]], size_px: int) -> tuple[float, float]:
    """Return accuracy and loss of the best epoch at full size: the one whose weights were kept."""
    full = [each for each in epochs if each["size_px"] == size_px]
    best = max(full, key=lambda each: (each["validation_accuracy"], -each["validation_loss"]))
    return float(best["validation_accuracy"]), float(best["validation_loss"])


def judge_members(bundle: Bundle, cache: Cache, rows: Integers) -> list[Predictions]:
    """Let each member judge `rows` of a cache on its own."""
    spec, salt = bundle.manifest.preprocessing, salt_of(bundle)
    return [
        judge(
            TorchBackend(Ensemble([load_member(bundle, member)], spec), find_device().type),
            cache,
            rows,
            fold=-1,
            salt=salt,
        )
        for member in bundle.manifest.members
    ]


def split_patients(
    cache: Cache, measure_share: float, seed: int = 0
) -> tuple[frozenset[str], frozenset[str]]:
    """Deal patients out, label by label: those to select by, those kept to measure on.

    Raises `InputError` where no patient would be left to select by.
    """
    if not 0 <= measure_share < 1:
        raise InputError(f"the share kept to measure on must be 0 to below 1: {measure_share}")
    rng = np.random.default_rng([seed, 3])
    measured: set[str] = set()
    for label in cache.labels:
        patients = [name for name, found in cache.label_of_patient.items() if found == label]
        kept = int(len(patients) * measure_share)
        measured.update(str(each) for each in rng.permutation(patients)[:kept])
    return frozenset(cache.label_of_patient) - measured, frozenset(measured)


def make_top(
    derivation: Derivation,
    count: int,
    by: str = "log-loss",
    cache: Cache | None = None,
    measure_share: float = 0.5,
) -> dict[str, Any]:
    """Choose `count` members, write the bundle of them in that order; return what was found.

    With a `cache` of unseen patients they are chosen by its exams, but for those of
    `measure_share` of its patients, on which choice and whole are then measured; the patients that
    chose count as seen from then on.
    """
    parent = derivation.parent
    _check(parent, count, by, cache)
    derivation.open()
    details: dict[str, Any] = {"by": by}
    seen: frozenset[str] = frozenset()
    if cache is None or by == "validation":
        taken = rank_by_validation(parent)[:count]
    else:
        chosen_by, measured_on = split_patients(cache, measure_share)
        names = [member.name for member in parent.manifest.members]
        taken = choose(judge_members(parent, cache, cache.rows_of(chosen_by)), names, count, by)
        seen = name_patients(parent, chosen_by)
        details["patients"] = len(chosen_by)
        if measured_on:
            judged = judge_members(parent, cache, cache.rows_of(measured_on))
            details["measured"] = _measure(judged, [n for n, _ in taken], len(measured_on))
    details["steps"] = [asdict(step) for _, step in taken]
    members = tuple(derivation.copy_member(parent.manifest.members[n]) for n, _ in taken)
    _copy_history(derivation, [n for n, _ in taken])
    limit = _explain(count, len(parent.manifest.members), details)
    derivation.finish(members, details, limit, seen=seen)
    return details


def _check(parent: Bundle, count: int, by: str, cache: Cache | None) -> None:
    total = len(parent.manifest.members)
    if not 1 <= count <= total:
        raise InputError(f"--members {count} asked for, but the bundle has {total}")
    if by not in CRITERIA:
        raise InputError(f"members are chosen by one of {list(CRITERIA)}, not by {by!r}")
    if cache is None and by != "validation":
        raise InputError(
            f"choosing by {by} needs patients that trained nothing: name their --cache, or choose "
            "--by validation"
        )
    if cache is not None and by == "validation":
        raise InputError("--by validation reads training's own history: leave --cache out")
    if cache is not None:
        check_fits(parent, cache)
        check_unseen(cache, salt_of(parent), sorted(seen_by(parent)))


def _measure(judged: list[Predictions], taken: list[int], patients: int) -> dict[str, Any]:
    """Return what choice and whole reach on exams of patients that chose nothing."""
    exams = [each.by_exam() for each in judged]
    found: dict[str, Any] = {"patients": patients, "exams": len(exams[0].targets)}
    for name, numbers in (("chosen", taken), ("all", list(range(len(exams))))):
        mean = np.mean([exams[n].probabilities for n in numbers], axis=0)
        accuracy, loss = _score(mean, exams[0].targets)
        found[name] = {"exam_accuracy": accuracy, "exam_log_loss": loss}
    return found


def _copy_history(derivation: Derivation, taken: list[int]) -> None:
    path = derivation.parent.root / HISTORY_PATH
    try:
        history = json.loads(path.read_bytes())
        kept = [history[n] for n in taken]
    except (OSError, ValueError, LookupError, TypeError):
        return  # not every bundle has a history of each of its members
    write_json(derivation.part / HISTORY_PATH, kept)


def _explain(count: int, total: int, details: dict[str, Any]) -> str:
    if details["by"] == "validation":
        how = "by how each did on its own validation patients, which flatters it"
    else:
        how = (
            f"by exam {details['by']} on {details['patients']} patients, on whom it looks better "
            "than it is"
        )
    return f"{count} of {total} members, chosen {how}."
