"""What was found of ventriculomegaly, as tables: of folds, of other patients, of real pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurosono.calibration.fit import apply
from neurosono.calibration.reliability import measure_ece
from neurosono.calibration.scaling import fit_scaling
from neurosono.engine.contracts.predictions import Predictions
from neurosono.scripts.gpu_check.ventricles import ATLAS, NETS, NORMALS, TEST, TRAIN, Net, Plan
from neurosono.training.metrics.resampling import set_wilson
from neurosono.training.probe import judge_by_shortcut
from neurosono.training.versus import compare

POSITIVE = "ventriculomegaly"
PROBE = "shortcut-probe"
PAPER = {
    "source": "Megahed et al. 2025, arXiv 2511.07827: real pictures, folds by image",
    "folds": {"f1": 0.9176, "precision": 0.9447, "accuracy": 0.9724, "specificity": 0.988},
    "other patients": {"f1": 0.9178, "specificity": 0.993, "auroc": 0.97},
}
GOALS = {"f1": 0.93, "auroc": 0.97}
"""Of phantoms, a patient."""

Part = tuple[str, dict[str, Any]]


@dataclass
class Found:
    """What came from the workers: of each network its folds' answers, and the atlas's."""

    folds: dict[str, dict[int, dict[str, Predictions]]] = field(default_factory=dict)
    atlas: dict[str, Predictions] = field(default_factory=dict)

    def add(self, net: str, fold: int, said: dict[str, Predictions]) -> None:
        """Keep what a member of a network said."""
        self.folds.setdefault(net, {})[fold] = said

    def common(self) -> tuple[list[str], list[int]]:
        """Return networks and the folds that all of them have: the most answers that compare.

        A network without a fold that others have is left out where that keeps more of them.
        """
        counts = {net: len(folds) for net, folds in self.folds.items()}
        if not counts:
            return [], []
        ordered = [net.name for net in NETS if net.name in counts]
        best: tuple[int, list[str], list[int]] = (0, [], [])
        for least in sorted(set(counts.values())):
            names = [name for name in ordered if counts[name] >= least]
            folds = sorted(set.intersection(*(set(self.folds[name]) for name in names)))
            if len(names) * len(folds) > best[0]:
                best = (len(names) * len(folds), names, folds)
        return best[1], best[2]

    def held_out(self, net: str, folds: list[int]) -> Predictions:
        """Return what each fold's member said of the patients that it never saw."""
        return Predictions.join([self.folds[net][fold][TRAIN] for fold in folds])

    def together(self, net: str, folds: list[int], cache: str) -> Predictions:
        """Return the mean of the members' answers, as a bundle of them gives it."""
        parts = [self.folds[net][fold][cache] for fold in folds]
        mean = np.mean([part.probabilities for part in parts], axis=0)
        return parts[0].with_probabilities(mean)

    def has(self, cache: str) -> bool:
        """Whether members judged such pictures."""
        return any(cache in said for folds in self.folds.values() for said in folds.values())


def tables(found: Found, plan: Plan) -> Iterator[Part]:
    """Yield tables by their names, the most telling first; each takes some seconds."""
    names, folds = found.common()
    if not names:
        return
    about = {"networks": names, "folds": folds}
    held_out = {name: found.held_out(name, folds) for name in names}
    yield "compared", about
    yield "pretraining", dict(_pretraining(held_out))
    if found.has(TEST):
        test = {name: found.together(name, folds, TEST) for name in names}
        yield "pretraining_other_patients", dict(_pretraining(test))
        yield "other_patients", _compare(test)
        yield "calibrated", dict(_calibrate(held_out, test))
    probe = _probe(plan, TRAIN, held_out[names[0]], folds)
    yield "held_out", _compare(held_out | {PROBE: probe})
    if found.has(NORMALS):
        said = {name: found.together(name, folds, NORMALS) for name in names}
        yield "real_normals_called_wide", {name: _alarms(each) for name, each in said.items()}
    if found.has(ATLAS):
        said = {name: found.together(name, folds, ATLAS) for name in names}
        probe = _probe(plan, ATLAS, said[names[0]])
        yield "real_atlas_by_phantoms", _compare(said | {PROBE: probe})
    if found.atlas:
        probe = _probe(plan, ATLAS, next(iter(found.atlas.values())))
        yield "real_atlas_trained_on_it", _compare(found.atlas | {PROBE: probe})


def _compare(named: dict[str, Predictions]) -> dict[str, Any]:
    """Compare all with the first; rows in one order, as `compare` reads them."""
    return compare([(name, _sort(each)) for name, each in named.items()], POSITIVE)


def _sort(found: Predictions) -> Predictions:
    order = np.argsort(found.rows, kind="stable")
    fields = ("rows", "folds", "patients", "exams", "targets", "weeks", "sites", "probabilities")
    return Predictions(found.labels, **{name: getattr(found, name)[order] for name in fields})


def _pretraining(said: dict[str, Predictions]) -> Iterator[tuple[str, Any]]:
    """Compare each pretrained network with itself from scratch: `less_first` is the difference."""
    for net in NETS:
        scratch = _from_scratch(net)
        if scratch is not None and {net.name, scratch.name} <= said.keys():
            pair = {scratch.name: said[scratch.name], net.name: said[net.name]}
            yield net.architecture, _compare(pair)


def _from_scratch(net: Net) -> Net | None:
    same = (each for each in NETS if each.architecture == net.architecture and not each.start)
    return next(same, None) if net.start else None


def _calibrate(
    held_out: dict[str, Predictions], test: dict[str, Predictions]
) -> Iterator[tuple[str, Any]]:
    """Fit temperatures on held-out patients, and say what they do for the others."""
    for name, each in held_out.items():
        scaling = fit_scaling(each, "temperature")
        after = apply(scaling, test[name])
        yield (
            name,
            {
                "temperature": scaling.temperature,
                "ece_before": measure_ece(test[name].by_exam()),
                "ece_after": measure_ece(after.by_exam()),
            },
        )


def _probe(
    plan: Plan, name: str, like: Predictions, wanted: list[int] | None = None
) -> Predictions:
    """Judge what `like` judged by what a shortcut sees, under the same pseudonyms."""
    cache = plan.cache(name)
    folds = plan.deal(cache, NETS[0].recipe(1, plan.batch, plan.folds))
    said = judge_by_shortcut(cache, [f for f in folds if wanted is None or f.index in wanted])
    like = _sort(like)
    return replace(_sort(said), patients=like.patients, exams=like.exams)


def _alarms(said: Predictions) -> dict[str, Any]:
    """Return how many pictures, and how many women on the mean of theirs, are called wide."""
    at = said.labels.index(POSITIVE)
    found = {}
    for level, each in (("pictures", said), ("women", said.by_exam())):
        called = each.probabilities[:, at] > 0.5
        found[level] = set_wilson(int(called.sum()), len(called))
    return found
