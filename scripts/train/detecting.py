"""The steps that every subject of the detector shares: learning, and building graphs."""

from pathlib import Path

import torch
from rich.progress import Progress

from neurosono.engine.bundle import Bundle
from neurosono.scripts.console import console, write_json_report
from neurosono.training.detect.build import build
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.run import reopen_run, train
from neurosono.training.detect.train import DetectTrainer


def learn(trainer: DetectTrainer, out: Path, minutes: float | None, json: Path | None) -> None:
    """Train a run in `out` on, and say how far it has come."""
    torch.set_num_threads(1)  # two that meet in every layer wait for each other on a busy machine
    shares = ", ".join(f"{name} {share:.0%}" for name, share in trainer.deck.shares.items())
    console.print(f"of each batch: {shares}")
    with Progress(console=console) as bar:
        task = bar.add_task("training", total=1.0)
        bar.update(task, completed=trainer.part)

        def watch(_: int, loss: float) -> None:
            bar.update(task, completed=trainer.part, description=f"training, loss {loss:.3f}")

        train(trainer, out, minutes, watch)
    finished = trainer.part >= 1
    steps = "" if trainer.recipe.seconds else f" of {trainer.recipe.steps}"
    console.print(
        f"{trainer.done}{steps} steps in {out}"
        + ("" if finished else ": run the same command again to go on"),
        soft_wrap=True,
    )
    write_json_report(json, {"out": str(out), "steps_done": trainer.done, "finished": finished})


def build_run(data: DetectData, folder: Path, json: Path | None) -> None:
    """Build a run's graphs, and say what each weighs and changes."""
    card = build(reopen_run(data, folder), folder)
    for precision, each in card["graphs"].items():
        parity = each["parity"]
        console.print(
            f"{precision}: {each['bytes'] / 1e6:.1f} MB, planes kept {parity['same_plane']:.1%}, "
            f"structures found again {parity['found_again']:.1%}, HC {parity['hc_change']:.2%}, "
            f"heads alike {parity['same_head']:.1%}"
        )
    write_json_report(json, card)


def tell_prepared(data: DetectData, out: Path, json: Path | None) -> None:
    """Say how many pictures and patients were prepared in `out`."""
    counts = data.count()
    for name, count in counts.items():
        console.print(f"{name}: {count['patients']} patients, {count['pictures']} pictures")
    write_json_report(json, {"out": str(out), "pictures": counts, "digest": data.digest})


def tell_shipped(bundle: Bundle, out: Path, json: Path | None) -> None:
    """Say which bundle was made in `out`."""
    digest = bundle.manifest.digest
    console.print(f"bundle {out}, sha256 {digest[:12]}…", soft_wrap=True)
    write_json_report(json, {"out": str(out), "sha256": digest})
