"""Does pretraining help, and which network is best: ventriculomegaly of phantoms in five folds.

    python -m neurosono.scripts.gpu_check.pretraining --out DIR --seconds 330 --data DATA

Masked autoencoding of ViT-S and ViT-Ti, then seven networks and two small ones, each on the same
patient-disjoint folds, from scratch and (transformers) from what was pretrained; F1, precision,
recall, specificity, accuracy and AUC with patient-bootstrap intervals beside those of Megahed et
al. 2025 (arXiv 2511.07827), and the paired difference that pretraining makes. DATA holds `train`
and `test`, frame caches of phantoms (as `scripts/build-vm` makes them), `pool`, the gate's data or
another cache, and, where there are any, `within-atlas` and `normals`, frame caches of real
pictures; each a folder, or one file NAME.packed by `scripts.gpu_check.packing`. How long networks
are trained is set by how fast their steps are found to be, so that all of it ends in time.

Results: `pretraining.json`, written again with each thing found; `pretraining.tar`, every network's
answers, and the small networks' finished members: unpacked, they are what `neurosono train
train.cache --recipe NAME.toml --out NAME` takes up and makes a bundle of at once; and
`pretraining-start.safetensors`, the pretrained ViT-Ti in half precision, for `train --weights`.
`--rehearse` runs it all on discs of 32 px; what it says then means nothing.
"""

import argparse
import dataclasses
import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosono.engine.bundle import write_json
from neurosono.engine.contracts.architecture import VIT_S, VIT_TI
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.host import describe_host
from neurosono.scripts.gpu_check import ventricles
from neurosono.scripts.gpu_check.desk import Desk, Job
from neurosono.scripts.gpu_check.packing import SUFFIX, unpack
from neurosono.scripts.gpu_check.record import read_card
from neurosono.scripts.gpu_check.rehearsal import draw_folders
from neurosono.scripts.gpu_check.ventricles import FOLDERS, NETS, SHIPPED, TRAIN, Plan
from neurosono.scripts.gpu_check.ventricles_report import GOALS, PAPER, Found, tables

NAME = "pretraining"
PRETRAINED = (VIT_S, VIT_TI)

PRETRAINING_SHARE = 0.22
"""Of the seconds; two workers pretrain while the others measure paces and train from scratch."""

REPORT_S = 30.0
"""Kept for the tables, which one process makes: nine networks, 1,000 resamples."""

MEMBER_S = 2.5
"""What a member takes beside its steps: to begin, to validate, to judge."""

ATLAS_S = 8.0
"""What a network takes for the atlas's 66 pictures."""

EPOCHS = (6, 120)
"""No fewer and no more."""

MARGIN = 0.75
"""Of the time that is left, what is dealt out: paces change with what else the GPU does."""


class Step:
    """One run of the step: what to do next, and what was found so far."""

    def __init__(self, plan: Plan, out: Path, about: dict[str, Any], seconds: float) -> None:
        self._plan, self._out, self._seconds = plan, out, seconds
        self._found = Found()
        self._paces: dict[str, float] = {}
        self._recipes: dict[str, Any] = {}
        self._told: dict[str, Any] = about | {
            "paper": PAPER,
            "goals": GOALS,
            "autoencoders": {},
            "members": {},
            "failed": [],
            "not_reached": [],
            "tables": {},
        }
        self._paced = 0

    def run(self, workers: int, least_epochs: tuple[int, int], pretrain_epochs: int) -> None:
        """Do all of it as far as time allows, writing down each thing."""
        self._workers, self._epochs = workers, least_epochs
        self._desk = Desk(workers, self._plan.deadline_s, ventricles.use_one_thread)
        for_each_s = self._seconds * PRETRAINING_SHARE
        self._desk.add(
            *(
                Job(f"pretrain {name}", ventricles.pretrain, (self._plan, name, for_each_s,
                    pretrain_epochs))
                for name in PRETRAINED
            ),
            *(Job(f"pace {net.name}", ventricles.pace, (self._plan, net.name))
              for net in NETS if not net.start),
        )  # fmt: skip
        self._told["not_reached"] = self._desk.run(self._hear)
        self._write()
        self._make_tables()

    def _hear(self, job: Job, result: Any, error: BaseException | None) -> None:
        what, name = job.name.split()[:2]
        if error is not None:
            self._told["failed"].append(f"{job.name}: {error or type(error).__name__}")
        elif what == "pretrain":
            self._told["autoencoders"][name] = result
        elif what == "pace":
            self._paces[name] = result
            self._told["pace_ms"] = {net: round(s * 1e3, 2) for net, s in self._paces.items()}
        elif what == "member":
            self._add_member(name, result)
        elif what == "atlas":
            self._found.atlas[name] = result
        self._paced += what == "pace"
        if what == "pace" and self._paced == sum(not net.start for net in NETS):
            self._deal()
        self._write()
        say(f"{job.name}: {error or _shorten(result)}")

    def _deal(self) -> None:
        """Put every member on the desk, trained as long as the paces found allow."""
        plan, folds = self._plan, range(self._plan.folds)
        paces = {net.name: self._paces.get(net.name, self._guess(net.architecture)) for net in NETS}
        epochs = self._choose_epochs(paces)
        self._told["epochs"] = epochs
        for fold in folds:
            for net in NETS:
                after = f"pretrain {net.start}" if net.start else ""
                name = f"member {net.name} {fold}"
                words = (plan, net.name, fold, epochs)
                self._desk.add(Job(name, ventricles.train_member, words, after))
            if fold == 0 and plan.there(ventricles.ATLAS):
                for name in ventricles.OF_ATLAS:
                    start = next(net.start for net in NETS if net.name == name)
                    after = f"pretrain {start}" if start else ""
                    job = Job(f"atlas {name}", ventricles.train_on_atlas, (plan, name), after)
                    self._desk.add(job)

    def _choose_epochs(self, paces: dict[str, float]) -> int:
        plan, now = self._plan, time.time()
        data = plan.cache(TRAIN)
        recipe = NETS[0].recipe(1, plan.batch, plan.folds)
        rows = len(data.rows_of(plan.deal(data, recipe)[0].train))
        steps = -(-rows // plan.batch)
        pretraining_s = 0.0
        if len(self._told["autoencoders"]) < len(PRETRAINED):
            since = self._seconds - (plan.deadline_s + REPORT_S - now)
            pretraining_s = len(PRETRAINED) * max(
                0.0, self._seconds * PRETRAINING_SHARE - since
            )  # fmt: skip
        left_s = (plan.deadline_s - now) * self._workers - pretraining_s
        left_s = left_s * MARGIN - MEMBER_S * plan.folds * len(NETS)
        if plan.there(ventricles.ATLAS):
            left_s -= ATLAS_S * len(ventricles.OF_ATLAS)
        least, most = self._epochs
        wanted = left_s / (plan.folds * steps * sum(paces.values()))
        return int(min(most, max(least, wanted)))

    def _guess(self, architecture: str) -> float:
        """Return the pace of another network of this kind, or the slowest: its own is not known."""
        same = [self._paces[net.name] for net in NETS
                if net.architecture == architecture and net.name in self._paces]  # fmt: skip
        return max(same or list(self._paces.values()) or [0.05])

    def _add_member(self, net: str, result: dict[str, Any]) -> None:
        said = result.pop("said")
        self._found.add(net, result["fold"], said)
        held_out = said[TRAIN]
        right = held_out.probabilities.argmax(1) == held_out.targets
        result["held_out_accuracy"] = round(float(right.mean()), 4)
        self._told["members"].setdefault(net, []).append(result)

    def _make_tables(self) -> None:
        self._pack()
        made = tables(self._found, self._plan)
        while True:
            try:
                name, table = next(made)
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 (one table less: the others are told)
                self._told["failed"].append(f"a table: {error!r}")
                break
            self._told["tables"][name] = table
            self._write()
            say(f"table {name}")
        self._told["seconds"] = round(self._seconds - self._left_s(), 1)
        self._write()
        self._print()

    def _left_s(self) -> float:
        return self._plan.deadline_s + REPORT_S - time.time()

    def _print(self) -> None:
        for level in ("held_out", "other_patients"):
            for name, row in self._told["tables"].get(level, {}).get("exams", {}).items():
                words = (f"{key} {row[key]['value']:.3f}" for key in ("f1", "auroc", "specificity"))
                say(f"{level} {name}: {', '.join(words)}")

    def _pack(self) -> None:
        """Write every answer, and what the small networks' bundles are made of."""
        plan, root = self._plan, self._plan.root
        epochs = self._told.get("epochs", 1)
        with tarfile.open(self._out / f"{NAME}.tar", "w") as file:
            for net, folds in self._found.folds.items():
                for fold, said in folds.items():
                    for cache, each in said.items():
                        _add(file, f"answers/{net}-{fold}-{cache}.npz", _save(each))
            for net, each in self._found.atlas.items():
                _add(file, f"answers/{net}-trained-on-atlas.npz", _save(each))
            for net, members in SHIPPED.items():
                made = plan.net(net).recipe(epochs, plan.batch, plan.folds)
                some = members if members < plan.folds else 0  # 0: one of each fold
                recipe = dataclasses.replace(made, members=some).to_json()
                about = {"recipe": recipe, "data": plan.cache(TRAIN).digest}
                write_json(root / "recipe.json", about)
                _add(file, f"{net}.part/recipe.json", (root / "recipe.json").read_bytes())
                _add(file, f"{net}.toml", _write_toml(recipe))
                for path in sorted((root / f"{net}.part").glob("state-*.pt")):
                    file.add(path, f"{net}.part/{path.name}")
        if plan.start_path(VIT_TI).is_file():
            ventricles.halve_start(plan, VIT_TI, self._out / f"{NAME}-start.safetensors")

    def _write(self) -> None:
        write_json(self._out / f"{NAME}.json", self._told)


def _add(file: tarfile.TarFile, name: str, packed: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mtime = len(packed), int(time.time())
    file.addfile(about, io.BytesIO(packed))


def _save(said: Any) -> bytes:
    """Return what was said of which rows of a cache, and of whose; all else is in the cache."""
    packed = io.BytesIO()
    said = said.probabilities[:, 1].astype(np.float32), said.rows.astype(np.int32)
    np.savez_compressed(packed, positive=said[0], rows=said[1])
    return packed.getvalue()


def _write_toml(recipe: dict[str, Any]) -> bytes:
    """Return a recipe as TOML: its words, numbers, true and false are written as JSON's are."""
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in recipe.items())
    return "".join(lines).encode()


def _shorten(result: Any) -> str:
    if isinstance(result, dict):
        kept = ("epochs", "epoch", "held_out_accuracy", "pictures_per_s", "seconds")
        return ", ".join(f"{key} {result[key]}" for key in kept if key in result)
    return f"{result * 1e3:.1f} ms a step" if isinstance(result, float) else "done"


def say(words: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{NAME}: {words}\n")
    sys.stdout.flush()


def lay_out(data: Path, root: Path) -> None:
    """Put every folder of `data` into `root`, unpacked or linked to; raises `InputError`."""
    for name in FOLDERS:
        packed = data / f"{name}{SUFFIX}"
        if packed.is_file():
            unpack(packed, root / name)
        elif (data / name).is_dir():
            (root / name).symlink_to((data / name).absolute(), target_is_directory=True)
        elif name in ventricles.NEEDED:
            raise InputError(f"{data} holds no {name}: it must have {', '.join(ventricles.NEEDED)}")


def describe(words: Sequence[str]) -> dict[str, Any]:
    """Return where and when it runs: what each result is worth nothing without."""
    on_gpu = torch.cuda.is_available()
    return {
        "notice": NOTICE,
        "command": f"python -m neurosono.scripts.gpu_check.{NAME} {' '.join(words)}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "card": read_card() if on_gpu else "none: the CPU",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "host": describe_host(),
    }


def main(words: Sequence[str] | None = None) -> None:
    """Run the step by the command line."""
    begun = time.time()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rehearse", action="store_true")
    found = parser.parse_args(words)
    if found.data is None and not found.rehearse:
        parser.error("--data names a folder, or --rehearse needs none")
    found.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plan = Plan(root, begun + found.seconds - REPORT_S)
        if found.data is None:
            draw_folders(root)
        else:
            lay_out(found.data, root)
        if found.rehearse:
            plan = dataclasses.replace(plan, width=0.34, batch=8, folds=2, pretrain_batch=8)
            plan = dataclasses.replace(plan, pace_steps=(1, 2), atlas_epochs=1)
        step = Step(plan, found.out, describe(words or sys.argv[1:]), found.seconds)
        size = (found.workers, (1, 1), 5) if found.rehearse else (found.workers, EPOCHS, 400)
        step.run(*size)


if __name__ == "__main__":
    main()
