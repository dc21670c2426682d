"""One ensemble in several sizes, held against each other on patients that none of them has seen.

The first bundle is the reference: for each other one, how often it says the same, how much it loses
in accuracy, and what it costs. All probabilities are as trained, not calibrated: a calibration is
fitted on patients of its own for each bundle, and would mix into what is compared here.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.arrays import Flags, Integers, Pixels
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.manifest import Member
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import check_fits, check_unseen, judge, salt_of
from neurosono.engine.networks import make_network
from neurosono.training.metrics.metrics import describe_both
from neurosono.training.metrics.resampling import Draws, set_interval
from neurosono.training.report.readers import compare_pairs
from neurosono.training.sizes.derivation import seen_by

ROUNDS = 15
"""Rounds of timing, in each of which every bundle judges one picture: what else the machine does
then slows all of them alike, and the median ignores what it does to one."""

MeasureEce = Callable[[Predictions], float]


@dataclass(frozen=True)
class Cost:
    """What a bundle costs: weights in float32, and the arithmetic of one frame."""

    parameters: int
    megabytes: float
    multiply_adds: int


def measure_cost(bundle: Bundle) -> Cost:
    """Count parameters, float32 megabytes and multiply-adds a frame, from the members' widths."""
    found = [_measure_member(bundle, member) for member in bundle.manifest.members]
    return Cost(
        sum(each.parameters for each in found),
        sum(each.megabytes for each in found),
        sum(each.multiply_adds for each in found),
    )


def _measure_member(bundle: Bundle, member: Member) -> Cost:
    size_px = bundle.manifest.preprocessing.size_px
    with torch.device("meta"):
        classes = len(bundle.manifest.labels)
        network = make_network(member.architecture, classes, member.width, size_px).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.empty(1, 3, size_px, size_px))
    size_bytes = sum(value.nbytes for value in network.state_dict().values())
    return Cost(
        parameters=sum(each.numel() for each in network.parameters()),
        megabytes=size_bytes / 1e6,
        multiply_adds=counter.get_total_flops() // 2,  # torch counts both halves
    )


def find_unseen(bundles: Sequence[Bundle], cache: Cache, leave_out_seen: bool = False) -> Integers:
    """Return the rows of patients that none of the bundles has seen.

    Raises `InputError` where one has seen a patient and `leave_out_seen` is false, or where none is
    left; or where a bundle does not say whom it was trained on.
    """
    left = set(cache.label_of_patient)
    for bundle in bundles:
        check_fits(bundle, cache)
        seen, salt = seen_by(bundle), salt_of(bundle)
        if not seen:
            raise InputError(
                f"bundle {bundle.root} does not say which patients it was trained on: nothing can "
                "be called unseen; train it again with `neurosono train`"
            )
        if leave_out_seen:
            left = {name for name in left if pseudonym(name, salt) not in seen}
        else:
            check_unseen(cache, salt, sorted(seen))
    if not left:
        raise InputError(f"every patient of {cache.root} was seen: name a cache of other patients")
    return cache.rows_of(left)


def compare_bundles(
    bundles: Sequence[Bundle],
    cache: Cache,
    measure_ece: MeasureEce,
    *,
    leave_out_seen: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge the unseen patients of `cache` with every bundle and compare them with the first.

    `measure_ece` is the calibration error of a table of predictions. The members' float32 weights
    are run where a bundle has them, or its best engine; `ms` a frame are of this machine.
    """
    if not bundles:
        raise InputError("nothing to compare: name two bundles or more")
    rows = find_unseen(bundles, cache, leave_out_seen)
    backends = [_open(bundle) for bundle in bundles]
    salt = salt_of(bundles[0])
    judged = []
    for bundle, backend in zip(bundles, backends, strict=True):
        on_step(f"judging with {bundle.manifest.name}")
        judged.append(judge(backend, cache, rows, fold=-1, salt=salt))
    on_step("timing")
    took_ms = time_backends(backends, np.asarray(cache.frames[rows[:1]]))
    columns = [
        _describe(bundle, backend, ms, took_ms[0])
        | compare_predictions(judged[0], found, measure_ece)
        for bundle, backend, ms, found in zip(bundles, backends, took_ms, judged, strict=True)
    ]
    return {
        "notice": NOTICE,
        "patients": len(np.unique(judged[0].patients)),
        "exams": len(np.unique(judged[0].exams)),
        "frames": len(rows),
        "left_out_patients": len(cache.label_of_patient) - len(np.unique(judged[0].patients)),
        "data": cache.digest,
        "calibrated": False,
        "threads": torch.get_num_threads(),
        "bundles": columns,
    }


def _open(bundle: Bundle) -> Backend:
    has_weights = all(member.file is not None for member in bundle.manifest.members)
    return open_engine(bundle, "torch" if has_weights else "auto").backend


def time_backends(
    backends: Sequence[Backend], grey: Pixels, rounds: int = ROUNDS
) -> list[list[float]]:
    """Return the milliseconds of one picture, `(1, S, S)`, for each backend in each round."""
    took: list[list[float]] = [[] for _ in backends]
    for backend in backends:
        backend.infer(grey)  # the first one allocates
    for number in range(rounds):
        for turn in range(len(backends)):
            at = (number + turn) % len(backends)  # so that none always follows the same one
            began_ns = time.perf_counter_ns()
            backends[at].infer(grey)
            took[at].append((time.perf_counter_ns() - began_ns) / 1e6)
    return took


def _describe(
    bundle: Bundle, backend: Backend, ms: Sequence[float], reference_ms: Sequence[float]
) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(ms, reference_ms, strict=True)]
    return {
        "name": bundle.manifest.name,
        "sha256": bundle.manifest.digest,
        "method": bundle.manifest.card.get("derivation", {}).get("method"),
        "members": len(bundle.manifest.members),
        **vars(measure_cost(bundle)),
        "engine": f"{backend.name} {backend.precision}",
        "ms": statistics.median(ms),
        "ms_ratio": statistics.median(ratios),
    }


def compare_predictions(
    reference: Predictions, found: Predictions, measure_ece: MeasureEce
) -> dict[str, Any]:
    """Say how right `found` is, and how near to `reference`, both of the same frames.

    `difference` of exam accuracy is found minus reference, with the paired patient-bootstrap 95 %
    interval and McNemar's exact p; agreements are of the most probable class.
    """
    exams, exams_before = found.by_exam(), reference.by_exam()
    right, right_before = _find_right(exams), _find_right(exams_before)
    metrics = describe_both(found)
    kept = ("count", "right", "accuracy", "accuracy_95")
    pairs = compare_pairs(right_before, right)
    apart = np.abs(found.probabilities - reference.probabilities)
    return {
        "of_frames": {key: metrics["frames"][key] for key in kept},
        "of_exams": {key: metrics["exams"][key] for key in kept},
        "same_frames": _measure_agreement(reference, found),
        "same_exams": _measure_agreement(exams_before, exams),
        "mean_difference": float(apart.mean()),
        "max_difference": float(apart.max()),
        "exam_ece": measure_ece(exams),
        "difference": float(right.mean() - right_before.mean()),
        "difference_95": _bootstrap_difference(exams, right, right_before),
        "only_reference_right": pairs["only_first_right"],
        "only_this_right": pairs["only_second_right"],
        "mcnemar_p": pairs["p"],
    }


def _find_right(exams: Predictions) -> Flags:
    return np.asarray(exams.probabilities.argmax(1) == exams.targets)


def _measure_agreement(one: Predictions, other: Predictions) -> float:
    return float((one.probabilities.argmax(1) == other.probabilities.argmax(1)).mean())


def _bootstrap_difference(
    exams: Predictions, right: Flags, right_before: Flags
) -> list[float | None]:
    draws = Draws.bootstrap(exams)
    patient_of = draws.find(exams)
    gained = np.bincount(patient_of, weights=right.astype(float) - right_before)
    drawn = (draws.weights @ gained) / (draws.weights @ np.bincount(patient_of))
    interval = set_interval(float(gained.sum() / len(right)), drawn)
    return [interval["low"], interval["high"]]
