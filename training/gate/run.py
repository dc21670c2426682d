"""The whole making of a gate: measured on what is left out, threshold from that, fitted on all."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.gate import STATISTICS_NAME
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.gate import Familiarity
from neurosono.engine.gate_folder import write_entry
from neurosono.training.gate.build import judge_built, write_graph
from neurosono.training.gate.data import GateData
from neurosono.training.gate.familiarity import fit_ranks, fit_whitening, group_names, measure
from neurosono.training.gate.heads import PLANES, Heads, Judged, fit_heads
from neurosono.training.gate.leave_out import describe_left_out, leave_out, name_groups
from neurosono.training.gate.looks import Looks
from neurosono.training.gate.metrics import Answers, choose_plane_limits, describe_gate
from neurosono.training.gate.recipe import GateRecipe
from neurosono.training.gate.splits import deal_folds

STRANGE_SHARE = 0.003
"""Of held-out heads and spines: what may be called unfamiliar."""
LARGEST_THRESHOLD = 0.5
"""Where heads score well above it, the even one is kept: it is not moved up to chase the last
negative."""
CHECKED_FRAMES = 200
"""That the graph must answer as the heads did."""

TRUNK_CREDIT = (
    "SonoNet-16, Baumgartner et al. 2017 (github.com/baumgach/SonoNet-weights), Apache-2.0: its "
    "convolutions, in int8, with batch norms folded in, fitted with other answers"
)

LIMITS = (
    NOTICE,
    "Real spines: one picture, and those that SonoNet's authors trained on. What is measured of "
    "spines was measured on phantoms.",
    "Planes were learnt and measured on phantoms only; no real frame said its plane.",
    "It refuses what is no fetal head or spine; it says nothing of how good a view is.",
    "Most real pictures come from two databases of selected standard planes, not from whole exams.",
)


@dataclass(frozen=True)
class GateRun:
    """One making of a gate from `data` and their `looks` into the new folder `out`."""

    data: GateData
    looks: Looks
    out: Path
    recipe: GateRecipe
    folds: int = 5

    def make(self) -> dict[str, Any]:
        """Measure, fit, build and write; returns the card."""
        if self.out.exists():
            raise OutputError(f"{self.out} is there already: choose another folder or remove it")
        patients = {self.data.rows[row].patient for row in np.nonzero(self.data.real)[0]}
        if self.folds < 2 or len(patients) < self.folds:
            raise InputError(
                f"{len(patients)} patients cannot be dealt into {self.folds} folds: give 2 folds "
                "or more, and data of more real patients than folds"
            )
        held_out = self._cross_validate()
        heads = fit_heads(self.data, self.looks, np.arange(len(self.data.rows)), self.recipe)
        try:
            return self._write(heads, held_out)
        except OSError as error:
            raise OutputError(f"cannot write the gate to {self.out}: {error}") from error

    def _cross_validate(self) -> "HeldOut":
        fold = deal_folds(self.data, self.folds)
        rows = np.arange(len(fold))
        parts: list[tuple[NDArray[np.int64], Judged, NDArray[np.float64]]] = []
        for number in range(self.folds):
            train, held = rows[fold != number], rows[fold == number]
            heads = fit_heads(self.data, self.looks, train, self.recipe)
            judged, seen = (heads.answer(self.looks.plain[some]) for some in (held, train))
            placed = fit_whitening(seen.features, group_names(self.data, train))
            parts.append((held, judged, measure(*placed, judged.features)))
        return HeldOut(
            np.concatenate([held for held, _, _ in parts]),
            Judged.join([judged for _, judged, _ in parts]),
            np.concatenate([distances for _, _, distances in parts]),
        )

    def _measure_left_out(self) -> tuple[float | None, dict[str, Any]]:
        """Return the threshold that sources left out allow, and the figures of each way."""
        figures, threshold = {}, None
        for by in ("source", "machine"):
            try:
                name_groups(self.data, by)
            except InputError:
                continue
            found = leave_out(self.data, self.looks, self.recipe, by)
            figures[by] = describe_left_out(self.data, found, by)
            if by == "source":
                threshold = found.choose_threshold(self.data)
        return threshold, figures

    def _write(self, heads: Heads, held_out: "HeldOut") -> dict[str, Any]:
        part = self.out.with_name(self.out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write_graph(part, ov.Core().read_model(self.looks.trunk), heads)
        known = heads.answer(self.looks.plain)
        groups = group_names(self.data, np.arange(len(self.data.rows)))
        distances, shares = held_out.rank_distances(self.data)
        Familiarity(*fit_whitening(known.features, groups), distances, shares).save(
            part / STATISTICS_NAME
        )
        allowed, left_out = self._measure_left_out()
        threshold = round(float(np.clip(allowed or LARGEST_THRESHOLD, 1e-3, LARGEST_THRESHOLD)), 4)
        unfamiliar = 1 - STRANGE_SHARE
        answers = held_out.answers(distances, shares)
        plane_limits = choose_plane_limits(self.data, answers)
        card = {
            "what": "Is this a view of a fetal head or spine, and like what was trained on?",
            "limits": list(LIMITS),
            "attribution": [*self.data.attribution, TRUNK_CREDIT],
            "data": {"digest": self.data.digest, "frames": self.data.count()},
            "recipe": asdict(self.recipe) | {"folds": self.folds, "trunk": self.looks.trunk_sha256},
            "left_out": left_out,
            "held_out": describe_gate(self.data, answers, threshold, unfamiliar, plane_limits),
            "built": self._compare_built(part, known),
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
        return card

    def _compare_built(self, folder: Path, known: Judged) -> dict[str, float]:
        """Return how far the graph's scores lie from the heads' own, of some frames."""
        rows = np.random.default_rng(0).permutation(len(self.data.rows))[:CHECKED_FRAMES]
        built = judge_built(folder, np.stack([self.data.frames[row] for row in rows]))
        apart = np.abs(built.scores - known.scores[rows])
        return {"frames": len(rows), "largest_score_change": float(apart.max())}


@dataclass(frozen=True)
class HeldOut:
    """What the folds' networks say of the frames that each had not seen."""

    rows: NDArray[np.int64]
    judged: Judged
    distances: NDArray[np.float64]

    def rank_distances(self, data: GateData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the distances of heads and spines, and which share of them is nearer."""
        positive, real = data.positive[self.rows], data.real[self.rows]
        return fit_ranks(self.distances[positive & real], self.distances[positive & ~real])

    def answers(self, distances: NDArray[np.float64], shares: NDArray[np.float64]) -> Answers:
        """Return everything as the engine would say it."""
        ranks = np.interp(self.distances, distances, shares)
        return Answers(self.rows, self.judged.scores, ranks, self.judged.planes)
