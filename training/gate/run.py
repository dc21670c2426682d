"""The whole making of a gate: folds by patient, thresholds from them, then one network of all."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neurosono.engine.arrays import join
from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.gate import STATISTICS_NAME
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import writing
from neurosono.engine.gate import Familiarity
from neurosono.engine.gate_folder import write_entry
from neurosono.training.gate.build import FRAMES, judge_built, write_graph
from neurosono.training.gate.data import GateData
from neurosono.training.gate.familiarity import fit_ranks, fit_whitening, group_names, measure
from neurosono.training.gate.metrics import Answers, choose_plane_limits, describe_gate
from neurosono.training.gate.network import GateNetwork
from neurosono.training.gate.splits import deal_folds
from neurosono.training.gate.train import PLANES, GateRecipe, GateTrainer, Judged, judge_frames

REFUSED_SHARE = 0.004
"""Of held-out real heads: what the score's threshold may refuse. With `STRANGE_SHARE` it stays
under the one percent that the project allows itself, with room for patients unlike these."""
STRANGE_SHARE = 0.003
"""Of held-out heads and spines: what may be called unfamiliar."""
LARGEST_THRESHOLD = 0.5
"""Where heads score well above it, the even one is kept: it is not moved up to chase the last
negative."""

LIMITS = (
    NOTICE,
    "Real spines: one picture. What is said of spines was learnt and measured on phantoms.",
    "Planes were learnt and measured on phantoms only; no real frame said its plane.",
    "It refuses what is no fetal head or spine; it says nothing of how good a view is.",
    "Most real pictures come from two databases of selected standard planes, not from whole exams.",
)

Watch = Callable[[str, int, int, float], None]
"""Hears what is trained, the batches done, the batches in all, and the loss."""


@dataclass(frozen=True)
class GateRun:
    """One making of a gate from `data` into the new folder `out`; a killed one is taken up again.

    Finished networks wait in a folder beside `out` until all are.
    """

    data: GateData
    out: Path
    recipe: GateRecipe
    folds: int = 5

    def make(self, watch: Watch) -> dict[str, Any]:
        """Train, measure, build and write; returns the card."""
        if self.out.exists():
            raise OutputError(f"{self.out} is there already: choose another folder or remove it")
        patients = {self.data.rows[row].patient for row in np.nonzero(self.data.real)[0]}
        if self.folds < 2 or len(patients) < self.folds:
            raise InputError(
                f"{len(patients)} patients cannot be dealt into {self.folds} folds: give 2 folds "
                "or more, and data of more real patients than folds"
            )
        held_out = self._cross_validate(watch)
        network = self.train("all", np.arange(len(self.data.rows)), watch)
        with writing(f"the gate to {self.out}"):
            return self._write(network, held_out)

    def _cross_validate(self, watch: Watch) -> "HeldOut":
        fold = deal_folds(self.data, self.folds)
        rows = np.arange(len(fold))
        parts: list[tuple[Integers, Judged, Floats]] = []
        for number in range(self.folds):
            train, held = rows[fold != number], rows[fold == number]
            network = self.train(f"fold-{number}", train, watch)
            judged = judge_frames(network, np.asarray(self.data.frames[held]))
            seen = judge_frames(network, np.asarray(self.data.frames[train]))
            placed = fit_whitening(seen.features, group_names(self.data, train))
            parts.append((held, judged, measure(*placed, judged.features)))
        joined = join([judged for _, judged, _ in parts])
        return HeldOut(
            np.concatenate([held for held, _, _ in parts]),
            joined,
            np.concatenate([distances for _, _, distances in parts]),
        )

    def train(self, name: str, rows: Integers, watch: Watch) -> GateNetwork:
        """Return a trained network; rounds that a killed run had finished are not done again."""
        network, weights = GateNetwork(len(PLANES)), None
        for number in range(self.recipe.rounds):
            part = f"{name}-{number}"
            kept = self.out.with_name(self.out.name + ".parts") / f"{part}.safetensors"
            made_of = {
                "data": self.data.digest,
                "part": part,
                "recipe": json.dumps(asdict(replace(self.recipe, rounds=number + 1))),
            }
            found = _read_weights(kept, made_of)
            if found is None:
                seed = self.recipe.seed * 1000 + sum(part.encode())
                trainer = GateTrainer(self.data, rows, self.recipe, seed, weights)
                found = trainer.fit(partial(_report, watch, part, self.recipe.batches)).state_dict()
                kept.parent.mkdir(parents=True, exist_ok=True)
                save_file({k: v.contiguous() for k, v in found.items()}, kept, metadata=made_of)
            weights = found
        assert weights is not None
        network.load_state_dict(weights)
        return network.eval()

    def _write(self, network: GateNetwork, held_out: "HeldOut") -> dict[str, Any]:
        part = self.out.with_name(self.out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        every = np.random.default_rng(self.recipe.seed).permutation(len(self.data.rows))
        write_graph(part, network, np.asarray(self.data.frames[np.sort(every[:FRAMES])]))
        built = judge_built(part, self.data.frames)
        placed = fit_whitening(built.features, group_names(self.data, np.arange(len(every))))
        distances, shares = held_out.rank_distances(self.data)
        Familiarity(*placed, distances, shares).save(part / STATISTICS_NAME)
        threshold, unfamiliar = held_out.choose_threshold(self.data), 1 - STRANGE_SHARE
        answers = held_out.answers(distances, shares)
        plane_limits = choose_plane_limits(self.data, answers)
        exact = judge_frames(network, np.asarray(self.data.frames))
        card = {
            "what": "Is this a view of a fetal head or spine, and like what was trained on?",
            "limits": list(LIMITS),
            "attribution": list(self.data.attribution),
            "data": {"digest": self.data.digest, "frames": self.data.count()},
            "recipe": asdict(self.recipe) | {"folds": self.folds},
            "held_out": describe_gate(self.data, answers, threshold, unfamiliar, plane_limits),
            "int8": {
                "mean_score_change": float(np.abs(built.scores - exact.scores).mean()),
                "other_side_of_threshold": int(
                    ((built.scores < threshold) != (exact.scores < threshold)).sum()
                ),
                "frames": len(built.scores),
            },
        }
        write_entry(
            part,
            threshold=threshold,
            unfamiliar=unfamiliar,
            planes=PLANES,
            plane_limits=plane_limits,
            card=card,
        )
        part.rename(self.out)
        shutil.rmtree(self.out.with_name(self.out.name + ".parts"), ignore_errors=True)
        return card


@dataclass(frozen=True)
class HeldOut:
    """What the folds' networks say of the frames that each had not seen."""

    rows: Integers
    judged: Judged
    distances: Floats

    def choose_threshold(self, data: GateData) -> float:
        """Return the score under which `REFUSED_SHARE` of real heads lie, at most the largest."""
        heads = data.positive[self.rows] & data.real[self.rows]
        lowest = float(np.quantile(self.judged.scores[heads], REFUSED_SHARE))
        return round(float(np.clip(lowest, 1e-3, LARGEST_THRESHOLD)), 4)

    def rank_distances(self, data: GateData) -> tuple[Floats, Floats]:
        """Return the distances of heads and spines, and which share of them is nearer."""
        positive, real = data.positive[self.rows], data.real[self.rows]
        return fit_ranks(self.distances[positive & real], self.distances[positive & ~real])

    def answers(self, distances: Floats, shares: Floats) -> Answers:
        """Return everything as the engine would say it."""
        ranks = np.interp(self.distances, distances, shares)
        return Answers(self.rows, self.judged.scores, ranks, self.judged.planes)


def _report(watch: Watch, part: str, batches: int, done: int, loss: float) -> None:
    watch(part, done, batches, loss)


def _read_weights(path: Path, made_of: dict[str, str]) -> dict[str, torch.Tensor] | None:
    """Return a network that was finished before, None where it is none of this very run."""
    try:
        with safe_open(path, "pt") as file:
            if file.metadata() != made_of:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
