"""From a run to a bundle of the kind `regions`, with a detector of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.contracts.arrays import Singles, Words
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.manifest import REGIONS as KIND
from neurosono.engine.contracts.manifest import STRUCTURES, EngineEntry, Manifest, Member
from neurosono.engine.familiarity import Familiarity
from neurosono.engine.files import writing
from neurosono.engine.kinds.regions import BACKEND, FINDER, JUDGE, name_familiarity
from neurosono.engine.regions.graph import RegionsGraph
from neurosono.engine.regions.names import PLANES, REGIONS, VERDICTS
from neurosono.engine.regions.view import View, view_plane
from neurosono.engine.structures.graph import StructuresGraph
from neurosono.engine.structures.weeks import CARD_KEY
from neurosono.training.regions.data import PairData, fold_of, look_again, look_at
from neurosono.training.regions.network import RegionsNetwork, export
from neurosono.training.regions.recipe import BOTH, PairRecipe
from neurosono.training.regions.run import EVERYONE, read_card
from neurosono.training.regions.train import judge, load_weights

FALSE_ALARMS = 0.04
"""Share of the normal women who settle the operating point that may be called abnormal: chosen
before any figure was seen, so that the goal of 7 % is kept with room."""
MOST_PARITY = 0.02
"""By how much the graph's contribution may differ from float32's, in log-odds."""
LEARNT_WEEKS = (19.0, 24.0)
"""Of the phantom pairs (`stream.phantom.pairs`): beyond them there is no verdict."""
LARGEST_BYTES = 5_000_000
"""What may travel: a detector in int8 has 2.4 MB, in float32 with weights in half precision 4.2."""

Fitted = tuple[Familiarity, dict[str, Any]]
Features = tuple[Singles, Words]
"""Features (N, 3, F) and whose they are (N,)."""
Fit = Callable[[Features, Features], Fitted]
"""Fits what is familiar, of pictures that are and of such that must be refused."""


@dataclass(frozen=True)
class Settled:
    """What brings the network's log-odds to the operating point, and on how many women it rests."""

    scale: float
    threshold: float
    women: int
    not_judged: int


def ship(
    run: Path,
    finder: Bundle,
    tuning: PairData,
    unlike: PairData,
    out: Path,
    fit: Fit,
    name: str = "regions",
    report: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write a bundle at `out`, which must not exist.

    `finder` is a bundle of structures, whose detector is copied into it; `tuning` are pairs that
    taught nothing, `unlike` real ones, of which half of the women say what is not familiar.
    Both are looked at again by the detector as it is shipped, whichever looked at them before.
    Raises `InputError`, `RunError` where the graph is not what was trained, `OutputError`.
    """
    card = read_card(run)
    recipe = PairRecipe(**card["recipe"])
    if recipe.arm != BOTH:
        raise InputError(f"{run} learnt the arm {recipe.arm}: ship one that learnt `{BOTH}`")
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder for the bundle")
    network = load_weights(run / EVERYONE)
    entry = finder.engine(BACKEND, None, None)
    place = f"engines/{BACKEND}-{entry.precision}"
    folder = out / place
    with writing(f"the bundle {out}"):
        folder.mkdir(parents=True)
        copy_finder(finder, entry, folder)
        tuning, unlike = look_as_shipped(tuning, folder), look_as_shipped(unlike, folder, half=0)
        settled = settle(network, tuning, recipe)
        ov.save_model(export(network), folder / f"{JUDGE}.xml", compress_to_fp16=True)
        parity = compare(network, folder / f"{JUDGE}.xml", tuning)
        familiar = {}
        for plane in PLANES:
            own, other = (
                features_of(folder / f"{JUDGE}.xml", data, plane) for data in (tuning, unlike)
            )
            fitted, familiar[plane] = fit(own, other)
            fitted.save(folder / name_familiarity(plane))
    names = sorted(each.name for each in folder.iterdir())
    files = tuple(file_of(out, f"{place}/{each}") for each in names)
    size = sum((out / each.path).stat().st_size for each in files)
    if size > LARGEST_BYTES:
        raise RunError(f"the bundle has {size} bytes, at most {LARGEST_BYTES} may travel")
    manifest = Manifest(
        kind=KIND,
        name=name,
        labels=VERDICTS,
        preprocessing=finder.manifest.preprocessing,
        members=(Member("00", 1.0),),
        engines=(EngineEntry(BACKEND, entry.precision, 1, files, {"device": "CPU"}, parity),),
        card={
            **describe(card, settled, finder, tuning, unlike),
            "familiarity": familiar,
            "measured": dict(report or {}),
            "weights": [each.sha256 for each in files],
        },
    )
    write_manifest(out, manifest)
    return Bundle.load(out, kind=KIND)


def settle(network: RegionsNetwork, tuning: PairData, recipe: PairRecipe) -> Settled:
    """Bring a network's log-odds to their scale, and the operating point to 0.

    The scale is logistic regression's, on women who taught nothing; the operating point calls
    `FALSE_ALARMS` of the normal ones abnormal at the most.
    """
    from sklearn.linear_model import LogisticRegression

    pairs = [each for each in tuning.pairs if each.abnormal is not None]
    leans = [None if f is None else float(f.sum()) for f in judge(network, tuning, pairs, recipe)]
    found = [(lean, p.abnormal) for lean, p in zip(leans, pairs, strict=True) if lean is not None]
    lean, truth = np.array([each[0] for each in found]), np.array([bool(each[1]) for each in found])
    if not 0 < truth.sum() < len(truth):
        raise InputError("normal and abnormal pairs settle the operating point: prepare both")
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(lean[:, None], truth)
    scale = float(np.clip(model.coef_[0, 0], 0.05, 20.0))
    well = np.sort(lean[~truth] * scale)
    allowed = int(FALSE_ALARMS * len(well))
    # halfway between the last that may be called abnormal and the first that may not
    last = well[-allowed] if allowed else well[-1] + 1
    threshold = float((well[-allowed - 1] + last) / 2)
    network.settle(scale, threshold)
    return Settled(scale, threshold, len(found), len(pairs) - len(found))


def copy_finder(finder: Bundle, entry: EngineEntry, folder: Path) -> None:
    """Copy the detector of a bundle of structures, its weights in half precision if in float32.

    Raises `InputError` where it is none.
    """
    if finder.manifest.kind != STRUCTURES:
        raise InputError(f"{finder.root} finds no structures: name a bundle of structures")
    path = next(file.path for file in entry.files if file.path.endswith(".xml"))
    model = ov.Core().read_model(finder.root / path)
    ov.save_model(model, folder / f"{FINDER}.xml", compress_to_fp16=entry.precision == "f32")


def look_as_shipped(data: PairData, folder: Path, half: int | None = None) -> PairData:
    """Return the planes of pairs with what the detector in a bundle's `folder` finds on them.

    `half`, 0 or 1, takes every second woman only.
    """
    graph = StructuresGraph(folder / f"{FINDER}.xml", 1)
    kept = [
        number
        for number, row in enumerate(data.rows)
        if row.plane in PLANES and (half is None or fold_of(row.patient, 2) == half)
    ]
    part = replace(data, rows=tuple(data.rows[n] for n in kept), frames=data.frames[kept])
    return replace(part, rows=tuple(row for _, row in look_at(look_again([part]), graph)))


def views_of(data: PairData, plane: str) -> list[tuple[str, View]]:
    """Return of each picture of a plane whose it is and its view, as found by the detector."""
    found = []
    for number, row in enumerate(data.rows):
        if row.plane == plane and row.seen.head is not None:
            square = np.array(data.frames[number])
            found.append((row.patient, view_plane(square, row.seen.head, row.seen.boxes, plane)))
    return found


def features_of(path: Path, data: PairData, plane: str) -> Features:
    """Return the features of a plane's pictures by the graph as it runs, and whose they are."""
    graph = RegionsGraph(path)
    views = views_of(data, plane)
    if not views:
        raise InputError(f"no picture of the {plane} plane shows a head: prepare others")
    features = np.stack([graph.infer(view).features for _, view in views])
    return features, np.array([owner for owner, _ in views])


def compare(network: RegionsNetwork, path: Path, data: PairData) -> dict[str, int | float]:
    """Return how far the graph is from the float32 network; raises `RunError` beyond the limit."""
    import torch

    graph = RegionsGraph(path)
    views = [view for plane in PLANES for _, view in views_of(data, plane)[:40]]
    apart = []
    for view in views:
        with torch.inference_mode():
            crops, context = torch.from_numpy(view.crops)[:, None], torch.from_numpy(view.context)
            exact = network.explain(crops, context)[0].numpy()
        apart.append(float(np.abs(exact - graph.infer(view).contributions).max()))
    worst = max(apart, default=0.0)
    if worst > MOST_PARITY:
        raise RunError(
            f"the graph's contributions differ by {worst:.3f} from the network's, at most "
            f"{MOST_PARITY} may be: it is not written"
        )
    return {"views": len(views), "largest_change": round(worst, 6)}


def describe(
    card: Mapping[str, Any], settled: Settled, finder: Bundle, tuning: PairData, unlike: PairData
) -> dict[str, Any]:
    """Return the card: what it learnt from, how it was settled, and what it cannot say."""
    return {
        "recipe": card["recipe"],
        "data": card["data"],
        "operating_point": {
            **vars(settled),
            "false_alarms": FALSE_ALARMS,
            "data": tuning.digest,
        },
        "unlike": unlike.digest,
        "finder": {"name": finder.manifest.name, "sha256": finder.manifest.digest},
        "attribution": list(finder.manifest.card.get("attribution", unlike.attribution)),
        "regions": [each.name for each in REGIONS],
        "intended_use": "Investigational: not for diagnosis. Learnt on phantom pairs alone, to "
        "show how a verdict on two planes runs; what it finds on real heads is not known.",
        CARD_KEY: list(LEARNT_WEEKS),
        "limits": [
            "no real abnormal pair was seen: no sensitivity for real heads is known",
            "real pictures are refused as unfamiliar where they are unlike the phantoms",
            "the findings are those that the phantom draws, at 19 to 23 weeks",
        ],
    }
