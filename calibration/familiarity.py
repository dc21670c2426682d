"""What is familiar to an ensemble: fitted on frames of patients that trained nothing."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosono.calibration.unlike import draw_unlike
from neurosono.engine.arrays import join
from neurosono.engine.backends import Backend
from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.architecture import count_features
from neurosono.engine.contracts.arrays import Flags, Floats, Integers, Pixels, Singles, Words
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.familiarity import FAMILIARITY_NAME, FamiliarityEntry
from neurosono.engine.exam.interval import bound_share
from neurosono.engine.familiarity import Familiarity, place
from neurosono.engine.files import writing
from neurosono.engine.judgement import salt_of

REFUSED = (0.0016, 0.0064)
"""Shares of familiar frames that may be too far, and on the wrong side. Together 0.8 %, so that
what the number of patients leaves uncertain ends below 2 %, too: at 1.5 % it ended at 2.6."""

STRENGTH = 0.1
"""Of the planes' fit, the inverse of its penalty: on the demo's held-out phantoms against half of
the real patients, 0.003 caught 97.9 % of the other half, 0.03 99.3, 0.1 99.5 and 0.3 99.5 %."""

FOLDS = 5
LEAST_SCALE = 0.05
RESAMPLES = 500
MADE = 400
"""Pictures made that no scanner shows: so many beside whatever is given."""


@dataclass(frozen=True)
class Look:
    """What members gave of N pictures: `features` (N, M, F), and whose they are, `owners` (N,)."""

    features: Singles
    owners: Words

    def select(self, wanted: Flags) -> "Look":
        """Return the pictures where `wanted`, (N,), is true."""
        return Look(self.features[wanted], self.owners[wanted])


@dataclass(frozen=True)
class Pictures:
    """Pictures `(N, S, S)` uint8 and whose they are, `owners` (N,)."""

    frames: Pixels
    owners: Words


def look_at(backend: Backend, pictures: Pictures) -> Look:
    """Let members look at pictures."""
    found = [backend.infer(np.array(frame)[None]).features[0] for frame in pictures.frames]
    return Look(np.stack(found), pictures.owners)


def add_familiarity(bundle: Bundle, cache: Cache, unlike: Pictures | None) -> dict[str, Any]:
    """Fit what is familiar to a bundle, and write it and the manifest; returns the card.

    `cache` holds patients that trained nothing; `unlike` pictures of another kind than they, beside
    the made ones. Every OpenVINO engine of all members looks, for their precisions differ. Raises
    `InputError`, `OutputError`.
    """
    salt = salt_of(bundle)
    owners = np.array([pseudonym(row.patient, salt) for row in cache.rows])
    size_px = bundle.manifest.preprocessing.size_px
    made = draw_unlike(MADE, size_px)
    others = [Pictures(made, np.array([f"made-{number}" for number in range(len(made))]))]
    others += [] if unlike is None else [unlike]
    own_looks, unlike_looks = [], []
    for backend in _open_all(bundle):
        _check_features(bundle, backend)
        own_looks.append(look_at(backend, Pictures(cache.frames, owners)))
        unlike_looks += [look_at(backend, each) for each in others]
    early, _ = _features_of(bundle)
    fitted, measured = fit_familiarity(join(own_looks), join(unlike_looks), early)
    card = measured | {"made": MADE, "engines": len(own_looks), "limit": sum(REFUSED)}
    with writing(bundle.root / FAMILIARITY_NAME):
        fitted.save(bundle.root / FAMILIARITY_NAME)
    entry = FamiliarityEntry(file_of(bundle.root, FAMILIARITY_NAME), card)
    write_manifest(bundle.root, replace(bundle.manifest, familiarity=entry))
    return card


def _check_features(bundle: Bundle, backend: Backend) -> None:
    """Raise `InputError` where an engine was built before there were early features."""
    size_px = bundle.manifest.preprocessing.size_px
    nothing = np.zeros((1, size_px, size_px), dtype=np.uint8)
    found = backend.infer(nothing).features.shape[-1]
    expected = _features_of(bundle)[1]
    if found != expected:
        raise InputError(
            f"the engine {backend.name} {backend.precision} of {bundle.root} gives {found} "
            f"features, expected {expected}: it is of an earlier release; build it again with "
            "`neurosono build`"
        )


def _features_of(bundle: Bundle) -> tuple[int, int]:
    return count_features(bundle.manifest.architecture, bundle.manifest.members[0].width)


def _open_all(bundle: Bundle) -> list[Backend]:
    everyone = len(bundle.manifest.members)
    precisions = [
        entry.precision
        for entry in bundle.manifest.engines
        if entry.backend == "openvino" and entry.members == everyone
    ]
    if not precisions:
        return [open_engine(bundle).backend]
    return [open_engine(bundle, "openvino", precision).backend for precision in precisions]


def fit_familiarity(own: Look, unlike: Look, early: int) -> tuple[Familiarity, dict[str, Any]]:
    """Return what is familiar, and its card: shares refused of owners that did not fit it.

    `own` are frames of patients like those of training that trained nothing, `unlike` pictures
    that must be refused; asked are the first `early` features. Raises `InputError` where either has
    fewer than `FOLDS` owners.
    """
    for name, look in (("familiar", own), ("unlike", unlike)):
        if len(np.unique(look.owners)) < FOLDS:
            raise InputError(f"familiarity needs {FOLDS} patients of {name} pictures or more")
    own_fold, unlike_fold = (deal_owners(look.owners) for look in (own, unlike))
    members = own.features.shape[1]
    found = {name: np.empty((len(look.owners), members, 2)) for name, look in (
        ("own", own), ("unlike", unlike))}  # fmt: skip
    for fold in range(FOLDS):
        part = _fit(own.select(own_fold != fold), unlike.select(unlike_fold != fold), early)
        for name, look, dealt in (("own", own, own_fold), ("unlike", unlike, unlike_fold)):
            held = dealt == fold
            for m in range(members):
                found[name][held, m] = part.answer(look.features[held, : m + 1])
    typical = np.median(found["own"], axis=0)
    shares = 1 - np.array(REFUSED)
    limits = np.stack(
        [np.quantile(found["own"][..., k], shares[k], axis=0, method="higher") for k in (0, 1)], 1
    )
    limits = np.maximum(limits, typical + 1e-6)
    fitted = replace(_fit(own, unlike, early), typical=typical, limits=limits)
    lost = (found["own"][:, -1] > limits[-1]).any(1)
    caught = (found["unlike"][:, -1] > limits[-1]).any(1)
    card = {"own": _describe(lost, own.owners), "unlike": _describe(caught, unlike.owners)}
    return fitted, card


def deal_owners(owners: Words, seed: int = 0) -> Integers:
    """Return the fold of each picture, `(N,)`; no owner stands in two."""
    names, owner_of = np.unique(owners, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(order[owner_of] % FOLDS)


def _fit(own: Look, unlike: Look, early: int) -> Familiarity:
    from sklearn.linear_model import LogisticRegression

    placed, others = place(own.features, early), place(unlike.features, early)
    centre = placed.mean(0)
    scale = np.maximum(placed.std(0), LEAST_SCALE)
    targets = np.append(np.zeros(len(placed)), np.ones(len(others)))
    # each kind weighs the same, and of each kind each owner
    weights = np.append(_weigh(own.owners), _weigh(unlike.owners)) * len(targets) / 2
    planes = []
    for m in range(placed.shape[1]):
        rows = (np.concatenate([placed[:, m], others[:, m]]) - centre[m]) / scale[m]
        rows = np.clip(rows, -20, 20)  # one wild picture must not turn the plane
        model = LogisticRegression(C=STRENGTH, max_iter=200)
        planes.append(model.fit(rows, targets, sample_weight=weights).coef_[0])
    nothing = np.zeros((len(centre), 2))
    return Familiarity(centre, scale, np.stack(planes), nothing, nothing + 1)


def _weigh(owners: Words) -> Floats:
    """Return weights `(N,)` that sum to 1: an owner counts by the root of its pictures."""
    _, of, counts = np.unique(owners, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(counts[of])
    return np.asarray(weights / weights.sum())


def _describe(refused: Flags, owners: Words) -> dict[str, Any]:
    """Return the share refused, with its 95 % interval: owners drawn with replacement."""
    _, of, counts = np.unique(owners, return_inverse=True, return_counts=True)
    hits = np.bincount(of, weights=refused)
    draws = np.random.default_rng(0).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES
    )
    shares = draws @ hits / (draws @ counts)
    low, high = np.quantile(shares, [0.025, 0.975])
    # where nothing or all was refused the draws say nothing: Wilson's, at the number of owners
    if refused.all() or not refused.any():
        ends = bound_share(np.array([float(refused.mean())]), len(counts))
        low, high = (float(end[0]) for end in ends)
    return {
        "frames": len(refused),
        "patients": len(counts),
        "refused": float(refused.mean()),
        "interval_95": [float(low), float(high)],
    }
