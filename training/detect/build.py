"""A run's networks as graphs, held to float32 on held-out patients, with a card beside them."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.builders.openvino import export, quantise
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.structures.answer import OUTPUTS
from neurosono.engine.structures.names import PLANES
from neurosono.training.detect.deck import kind_of
from neurosono.training.detect.evaluate import judge_rows
from neurosono.training.detect.export import (
    COMPARED_ON,
    QUANTISED_ON,
    check,
    compare,
    cut_looks,
    describe_graph,
    find_outline,
    graph_path,
    read_by_torch,
    write_graph,
)
from neurosono.training.detect.train import DetectTrainer

CARD_NAME = "structures.json"
PRECISIONS = ("f32", "int8")
CHANGES = (
    "Pictures were turned grey, un-squeezed where a machine or an upload had squeezed them, and "
    "letterboxed; marks went along. The weights were learnt from them and from generated pictures; "
    "no picture is in this bundle. CC BY 4.0: https://creativecommons.org/licenses/by/4.0/"
)
"""What was done to the pictures, as their licence asks to be told."""


def build(
    trainer: DetectTrainer, out: Path, precisions: tuple[str, ...] = PRECISIONS
) -> dict[str, Any]:
    """Write graphs of the averaged weights and their card; return the card.

    Each is compared with float32 on pictures of held-out patients and written only within its
    limits. Raises `RunError` where one is not, the others being kept and the card saying so, and
    `InputError` where there is nobody to compare it on.
    """
    data, recipe = trainer.data, trainer.recipe
    rng = np.random.default_rng(recipe.seed)
    seen = data.choose(recipe.held_out, held_out=False)
    unseen = data.choose(recipe.held_out, held_out=True) if recipe.held_out is not None else seen
    if not len(unseen):
        raise InputError(f"no patient is in fold {recipe.held_out}: a graph cannot be compared")
    checked = np.sort(rng.permutation(unseen)[:COMPARED_ON])
    network = trainer.averaged()
    look_px = recipe.look_px
    exact = read_by_torch(network, np.array(data.frames[checked]), look_px)
    model = export(network, look_px, OUTPUTS)
    graphs: dict[str, Any] = {}
    refused: RunError | None = None
    for precision in precisions:
        if precision == "int8":
            draw = np.sort(rng.permutation(seen)[:QUANTISED_ON])
            looks = cut_looks(network, np.array(data.frames[draw]), look_px)
            model = quantise(model, looks, quickly=True, trim=True, keep=find_outline(model))
        with tempfile.TemporaryDirectory(dir=out, prefix=".graph-") as aside:
            path = graph_path(Path(aside), precision)
            write_graph(model, path, data.size_px)
            found = [each.reading for each in judge_rows(path, data, checked)]
            parity = compare(exact, found)
            graphs[precision] = {**describe_graph(path), "parity": parity.to_json()}
            try:
                check(parity, graphs[precision]["bytes"], precision)
            except RunError as error:
                refused = error
                graphs[precision]["refused"] = str(error)
                continue
            for suffix in (".xml", ".bin"):
                path.with_suffix(suffix).replace(graph_path(out, precision).with_suffix(suffix))
    card = describe(trainer, graphs)
    (out / CARD_NAME).write_text(json.dumps(card, indent=2) + "\n")
    if refused is not None:
        raise refused
    return card


def describe(trainer: DetectTrainer, graphs: dict[str, Any]) -> dict[str, Any]:
    """Return the card: what it was trained on, by which recipe, how far, and what it cannot say."""
    data, seen = trainer.data, trainer.data.choose(trainer.recipe.held_out, held_out=False)
    kinds = [kind_of(data.rows[row]) for row in seen]
    return {
        "schema": data.subject.schema,
        "planes": list(PLANES),
        "structures": list(data.labels),
        "unproven": sorted(data.subject.unproven),
        "size_px": data.size_px,
        "recipe": trainer.recipe.to_json(),
        "steps_done": trainer.done,
        "steps": trainer.done if trainer.recipe.seconds else trainer.recipe.steps,
        "data": data.digest,
        "attribution": list(data.attribution),
        "changes": CHANGES,
        "shares": {
            name: {"of_batch": share, "pictures": kinds.count(name)}
            for name, share in trainer.deck.shares.items()
        },
        "graphs": graphs,
        "intended_use": data.subject.intended_use,
        "limits": list(data.subject.limits),
    }
