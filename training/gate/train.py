"""Fits a gate's network to some patients of its data."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosono.engine.arrays import join
from neurosono.engine.contracts.arrays import Floats, Integers, Pixels, Singles
from neurosono.engine.contracts.errors import RunError
from neurosono.training.fit.schedule import warm_cosine
from neurosono.training.fit.steps import Average, make_optimiser, set_rate
from neurosono.training.gate.augmentation import Strength, augment, invent, scramble
from neurosono.training.gate.borrowing import borrow_greys, borrow_spectrum
from neurosono.training.gate.data import GateData, GateRow
from neurosono.training.gate.network import GateNetwork
from neurosono.training.squares import PHANTOM

PLANES = ("transthalamic", "transventricular", "transcerebellar", "spine-sagittal", "other")
"""What the second answer tells apart. Learnt on phantoms alone: no real frame says its plane."""
UNTOLD = -1
"""The plane's index where nobody said it."""

PLANE_WEIGHT = 0.5
"""Of the planes' loss: the gate itself comes first."""

BORROWED = 0.2
"""Of the views: those with another picture's greys, and as many with its coarse spectrum."""

SHARES = {"real head": 0.32, "real other": 0.28, "phantom": 0.28, "scrambled": 0.08, "drawn": 0.04}
"""Of each batch: what is rare in the data is not rare to the gate."""


@dataclass(frozen=True)
class GateRecipe:
    """How long and how fast: `rounds` of `batches` of `batch` squares, AdamW with one cosine each.

    A round begins where the one before ended (warm restarts, Loshchilov and Hutter 2017), so that a
    gate that must know more can be given another.
    """

    batches: int = 1000
    rounds: int = 4
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: float = 0.05
    label_smoothing: float = 0.01
    average: float = 0.99
    seed: int = 0


def plane_index(row: GateRow) -> int:
    """Return the index of a phantom's plane in `PLANES`; `UNTOLD` for real frames."""
    if row.source != PHANTOM:
        return UNTOLD
    return PLANES.index(row.plane) if row.plane in PLANES else PLANES.index("other")


class Deck:
    """Deals rows: kinds by `SHARES`, then sources evenly by the root of their patients."""

    def __init__(self, data: GateData, rows: Integers) -> None:
        positive, real = data.positive[rows], data.real[rows]
        kinds = {
            "real head": rows[real & positive],
            "real other": rows[real & ~positive],
            "phantom": rows[~real],
        }
        self._kinds = {name: found for name, found in kinds.items() if len(found)}
        self._weights = {name: _weigh(data, found) for name, found in self._kinds.items()}
        self._positive = rows[positive]
        total = sum(SHARES[name] for name in self._kinds)
        self._shares = [SHARES[name] / total for name in self._kinds]

    def deal(self, rng: np.random.Generator) -> int:
        """Return a row."""
        kind = list(self._kinds)[int(rng.choice(len(self._shares), p=self._shares))]
        return int(rng.choice(self._kinds[kind], p=self._weights[kind]))

    def deal_positive(self, rng: np.random.Generator) -> int:
        """Return a row of a head or spine."""
        return int(rng.choice(self._positive))


def _weigh(data: GateData, rows: Integers) -> Floats:
    groups = [(data.rows[row].source, data.rows[row].label) for row in rows]
    patients = [data.rows[row].patient for row in rows]
    weights = np.zeros(len(rows))
    for group in set(groups):
        inside = np.array([each == group for each in groups])
        names = [name for name, chosen in zip(patients, inside, strict=True) if chosen]
        per_patient = np.array([1 / names.count(name) for name in names])
        weights[inside] = per_patient / math.sqrt(per_patient.sum())
    return np.asarray(weights / weights.sum())


class GateTrainer:
    """One round of training on `rows`; deterministic for a thread count."""

    def __init__(
        self,
        data: GateData,
        rows: Integers,
        recipe: GateRecipe,
        seed: int,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        """Begin a round: from `weights`, or from random ones of `seed`."""
        self._data, self._recipe = data, recipe
        self._deck = Deck(data, rows)
        self._rng = np.random.default_rng([seed, 31])
        torch.manual_seed(seed)
        self.network = GateNetwork(len(PLANES)).to(memory_format=torch.channels_last)
        if weights is not None:
            self.network.load_state_dict(weights)
        self._average = Average(self.network, recipe.average)
        self._optimiser = make_optimiser(self.network, recipe.learning_rate, recipe.weight_decay)

    def fit(self, watch: Callable[[int, float], None] = lambda *_: None) -> GateNetwork:
        """Train to the end; returns the network with averaged weights, ready to judge."""
        self.network.train()
        recipe = self._recipe
        for at in range(recipe.batches):
            part = (at + 1) / recipe.batches
            set_rate(self._optimiser, warm_cosine(recipe.learning_rate, part, recipe.warmup))
            loss = self._step()
            if not math.isfinite(loss):
                raise RunError(f"the gate's loss is no number in batch {at + 1}: train it again")
            self._average.add(at)
            watch(at + 1, loss)
        self.network.load_state_dict(self._average.weights)
        return self.network.eval()

    def _step(self) -> float:
        grey, target, plane = self._draw_batch()
        with torch.autocast("cpu", torch.bfloat16):
            logits, planes, _ = self.network.look(grey)
        smooth = self._recipe.label_smoothing
        loss = functional.binary_cross_entropy_with_logits(
            logits.float(), target * (1 - 2 * smooth) + smooth
        )
        if bool((plane != UNTOLD).any()):
            told = functional.cross_entropy(planes.float(), plane, ignore_index=UNTOLD)
            loss = loss + PLANE_WEIGHT * told
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach())

    def _draw_batch(self) -> tuple[Tensor, Tensor, Tensor]:
        squares, targets, planes = [], [], []
        for _ in range(self._recipe.batch):
            square, target, plane = self._draw()
            squares.append(halve(square))
            targets.append(target)
            planes.append(plane)
        grey = torch.from_numpy(np.stack(squares)).unsqueeze(1)
        grey = grey.contiguous(memory_format=torch.channels_last)
        return grey, torch.tensor(targets), torch.tensor(planes)

    def _draw(self) -> tuple[Pixels, float, int]:
        """Return a view, its target (1: head or spine) and its plane's index."""
        rng, kind = self._rng, self._rng.random()
        strength = Strength()
        if kind < SHARES["drawn"]:
            drawn = invent(self._data.frames.shape[1], rng)
            return augment(drawn, rng, strength), 0.0, UNTOLD
        if kind < SHARES["drawn"] + SHARES["scrambled"]:
            square = np.array(self._data.frames[self._deck.deal_positive(rng)])
            return augment(scramble(square, rng), rng, strength), 0.0, UNTOLD
        number = self._deck.deal(rng)
        row = self._data.rows[number]
        view = augment(self._borrow(np.array(self._data.frames[number])), rng, strength)
        return view, float(row.label != "other"), plane_index(row)

    def _borrow(self, square: Pixels) -> Pixels:
        """Return the square, now and then with the look of another one that is taught."""
        rng, kind = self._rng, self._rng.random()
        if kind >= 2 * BORROWED:
            return square
        other = np.array(self._data.frames[self._deck.deal(rng)])
        if kind < BORROWED:
            return borrow_greys(square, other)
        return borrow_spectrum(square, other, rng)


def halve(square: Pixels) -> Singles:
    """Return the mean of each 2 x 2 pixels, as the exported graph makes it."""
    side = square.shape[0] // 2
    return np.asarray(
        cv2.resize(square.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    )


@dataclass(frozen=True)
class Judged:
    """What a gate says of N frames: `(N,)` scores, `(N, P)` planes, `(N, K)` features."""

    scores: Floats
    planes: Floats
    features: Floats


@torch.inference_mode()
def judge_frames(network: GateNetwork, frames: Pixels, batch: int = 64) -> Judged:
    """Judge `(N, S, S)` uint8 with the network as it is exported, in float32."""
    parts = []
    for at in range(0, len(frames), batch):
        some = torch.from_numpy(np.array(frames[at : at + batch])).unsqueeze(1)
        score, planes, features = network(some)
        parts.append(
            Judged(score[:, 0].double().numpy(), planes.double().numpy(), features.double().numpy())
        )
    return join(parts)
