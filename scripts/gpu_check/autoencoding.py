"""Transformers pretrained on a pool of pictures without labels, each in a worker, by the clock."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from neurosono.scripts.gpu_check.record import Clock
from neurosono.scripts.gpu_check.ventricles import ATLAS, NORMALS, POOL, TEST, TRAIN, Plan
from neurosono.training.gate.data import SHELF, GateData
from neurosono.training.pretrain.autoencoder import MaskedAutoencoder
from neurosono.training.pretrain.data import gather
from neurosono.training.pretrain.recipe import PretrainRecipe
from neurosono.training.pretrain.run import STATE_NAME, Pretraining

APART = "abnormal-head"
"""The source of the atlas's pictures among the gate's data: never pretrained on."""


def pretrain(plan: Plan, architecture: str, seconds: float, epochs: int) -> dict[str, Any]:
    """Pretrain a transformer for as many epochs as `seconds` allow, `epochs` at most."""
    apart = [plan.root / name for name in (TRAIN, TEST, NORMALS, ATLAS) if plan.there(name)]
    pool = gather([plan.root / POOL], apart, plan.cache(TRAIN).spec.size_px, _sources(plan))
    recipe = PretrainRecipe(
        architecture=architecture,
        width=plan.width,
        size_px=plan.cache(TRAIN).spec.size_px,
        batch=min(plan.pretrain_batch, max(2, len(pool.places) // 2)),
        learning_rate=5e-4,
        epochs=epochs,
    )
    own = Clock(seconds * 1.3, time.monotonic())
    out = plan.start_path(architecture).parent
    pace = _time_epochs(Pretraining(pool, replace(recipe, epochs=3), out.with_suffix(".pace")))
    allowed = int((seconds - own.spent_s) / pace * 0.85)
    recipe = replace(recipe, epochs=max(5, min(epochs, allowed)))
    losses: list[float] = []
    run = Pretraining(pool, recipe, out)

    def watch(_: int, step: int, steps: int, loss: float) -> None:
        if step == steps:
            losses.append(loss)
        plan.clock.check()
        own.check()

    try:
        run.train(watch)
        whole = True
    except TimeoutError:
        _save_unfinished(run, recipe, plan.start_path(architecture))
        whole = False
    return {
        "recipe": recipe.to_json(),
        "pictures": len(pool.places),
        "pictures_kept_apart": pool.left_out,
        "patients": len(set(pool.patients)),
        "epochs": len(losses),
        "whole": whole,
        "seconds": round(own.spent_s, 1),
        "epoch_s": round(pace, 3),
        "pictures_per_s": round(len(pool.places) / pace),
        "last_loss_of_each_epoch": [round(each, 4) for each in losses],
    }


def _sources(plan: Plan) -> list[str]:
    """Return the atlas's source where the pool is the gate's data and has it."""
    if not (plan.root / POOL / SHELF.summary_name).is_file():
        return []
    found = GateData.load(plan.root / POOL)
    return [APART] if APART in found.sources else []


def _time_epochs(run: Pretraining) -> float:
    """Return the seconds of the fastest of some epochs after the first."""
    ends: list[float] = []

    def watch(_: int, step: int, steps: int, __: float) -> None:
        if step == steps:
            ends.append(time.time())

    run.train(watch)
    return float(np.diff(ends).min())


def _save_unfinished(run: Pretraining, recipe: PretrainRecipe, path: Path) -> None:
    """Take the encoder of the last saved epoch; raises `TimeoutError` where there is none."""
    if not (run.part / STATE_NAME).is_file():
        raise TimeoutError("not one epoch of this pretraining was done in time")
    network = MaskedAutoencoder(recipe.architecture, recipe.width, recipe.size_px, recipe.masked)
    state = torch.load(run.part / STATE_NAME, map_location="cpu", weights_only=True)
    network.load_state_dict(state["weights"])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.encoder_state(), path)


def halve_start(plan: Plan, architecture: str, out: Path) -> int:
    """Write a pretrained encoder in half precision; return its bytes."""
    found = load_file(plan.start_path(architecture))
    save_file({name: value.half() for name, value in found.items()}, out)
    return out.stat().st_size
