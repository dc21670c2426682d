"""Does pretraining help, and which network is best: ventriculomegaly of phantoms in five folds.

    python -m neurosono.scripts.gpu_check.pretraining --out DIR --seconds 330 --data DATA

Masked autoencoding of ViT-S and ViT-Ti, then seven networks and two small ones, each on the same
patient-disjoint folds, from scratch and (transformers) from what was pretrained; F1, precision,
recall, specificity, accuracy and AUC with patient-bootstrap intervals beside those of Megahed et
al. 2025 (arXiv 2511.07827), and the paired difference that pretraining makes. DATA holds `train`
and `test`, frame caches of phantoms (as `scripts/build-vm` makes them), `pool`, the gate's data or
another cache, and, where there are any, `within-atlas` and `normals`, frame caches of real
pictures; each a folder, or one file NAME.packed by `packing`. How long networks
are trained is set by how fast their steps are found to be, so that all of it ends in time.

Results: `pretraining.json`, written again with each thing found; `pretraining.tar`, every network's
answers, and the small networks' finished members: unpacked, they are what `neurosono train
train.cache --recipe NAME.toml --out NAME` takes up and makes a bundle of at once; and
`pretraining-start.safetensors`, the pretrained ViT-Ti in half precision, for `train --weights`.
`--rehearse` runs it all on discs of 32 px; what it says then means nothing.
"""

import argparse
import io
import json
import tarfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.contracts.architecture import VIT_S, VIT_TI
from neurosono.engine.contracts.labels import NORMAL_LABEL
from neurosono.scripts.gpu_check import autoencoding, ventricles
from neurosono.scripts.gpu_check.desk import Desk, Job
from neurosono.scripts.gpu_check.packing import lay_out
from neurosono.scripts.gpu_check.record import Record, in_words, make_parser, run_step
from neurosono.scripts.gpu_check.rehearsal import draw_cache, lay_out_few
from neurosono.scripts.gpu_check.ventricles import FOLDERS, NETS, SHIPPED, TRAIN, Plan
from neurosono.scripts.gpu_check.ventricles_report import GOALS, PAPER, Found, tables
from neurosono.training.atlas import FINDING, OTHER

NAME = "pretraining"
PRETRAINED = (VIT_S, VIT_TI)
FROM_SCRATCH = [net.name for net in NETS if not net.start]

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

    def __init__(self, record: Record, plan: Plan, workers: int, epochs: tuple[int, int]) -> None:
        """Begin with nothing; members are trained for no fewer and no more `epochs`."""
        self._record, self._plan, self._workers, self._epochs = record, plan, workers, epochs
        self._desk = Desk(workers, plan.clock, ventricles.use_one_thread)
        self._found = Found()
        self._paces: dict[str, float] = {}
        self._told = record.found
        self._told |= {"paper": PAPER, "goals": GOALS}
        self._told |= {"autoencoders": {}, "members": {}, "tables": {}}
        self._paced = 0

    def run(self, pretrain_epochs: int) -> None:
        """Do all of it as far as time allows, writing down each thing."""
        self._pretrain_s = self._record.clock.seconds * PRETRAINING_SHARE
        for name in PRETRAINED:
            words = (self._plan, name, self._pretrain_s, pretrain_epochs)
            self._desk.add(Job(f"pretrain {name}", autoencoding.pretrain, words))
        for net in FROM_SCRATCH:
            self._desk.add(Job(f"pace {net}", ventricles.pace, (self._plan, net)))
        late = self._desk.run(self._hear)
        if late:
            self._record.skip(*late)
        self._record.attempt("kept", 0, self._pack)
        self._record.attempt("made", 0, self._make_tables)

    def _hear(self, job: Job, result: Any, error: BaseException | None) -> None:
        what, name = job.name.split()[:2]
        if error is not None:
            self._record.tell(job.name, {"failed": in_words(error)})
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
        if what == "pace" and self._paced == len(FROM_SCRATCH):
            self._deal()
        if error is None:
            self._record.write()
            self._record.say(f"{job.name}: {_shorten(result)}")

    def _deal(self) -> None:
        """Put every member on the desk, trained as long as the paces found allow."""
        plan = self._plan
        paces = {net.name: self._paces.get(net.name, self._guess(net.architecture)) for net in NETS}
        epochs = self._choose_epochs(paces)
        self._told["epochs"] = epochs
        after = {net.name: f"pretrain {net.start}" if net.start else "" for net in NETS}
        for fold in range(plan.folds):
            for name, first in after.items():
                words = (plan, name, fold, epochs)
                self._desk.add(Job(f"member {name} {fold}", ventricles.train_member, words, first))
            if fold == 0 and plan.there(ventricles.ATLAS):
                for name in ventricles.OF_ATLAS:
                    work, first = (ventricles.train_on_atlas, (plan, name)), after[name]
                    self._desk.add(Job(f"atlas {name}", *work, first))

    def _choose_epochs(self, paces: dict[str, float]) -> int:
        plan = self._plan
        data = plan.cache(TRAIN)
        recipe = NETS[0].recipe(1, plan.batch, plan.folds)
        rows = len(data.rows_of(plan.deal(data, recipe)[0].train))
        steps = -(-rows // plan.batch)
        left_s = plan.clock.left_s * self._workers
        if len(self._told["autoencoders"]) < len(PRETRAINED):
            left_s -= len(PRETRAINED) * max(0.0, self._pretrain_s - plan.clock.spent_s)
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

    def _make_tables(self) -> dict[str, Any]:
        for name, table in tables(self._found, self._plan):
            self._told["tables"][name] = table
            self._record.write()
            self._record.say(f"table {name}")
        for level in ("held_out", "other_patients"):
            for name, row in self._told["tables"].get(level, {}).get("exams", {}).items():
                words = (f"{key} {row[key]['value']:.3f}" for key in ("f1", "auroc", "specificity"))
                self._record.say(f"{level} {name}: {', '.join(words)}")
        return {"tables": len(self._told["tables"])}

    def _pack(self) -> dict[str, Any]:
        """Write every answer, and what the small networks' bundles are made of."""
        plan, root = self._plan, self._plan.root
        epochs = self._told.get("epochs", 1)
        packed = self._record.out / f"{NAME}.tar"
        with tarfile.open(packed, "w") as file:
            for net, folds in self._found.folds.items():
                for fold, said in folds.items():
                    for cache, each in said.items():
                        _add(file, f"answers/{net}-{fold}-{cache}.npz", _save(each))
            for net, each in self._found.atlas.items():
                _add(file, f"answers/{net}-trained-on-atlas.npz", _save(each))
            for net, members in SHIPPED.items():
                made = plan.net(net).recipe(epochs, plan.batch, plan.folds)
                some = members if members < plan.folds else 0  # 0: one of each fold
                recipe = replace(made, members=some).to_json()
                about = json.dumps({"recipe": recipe, "data": plan.cache(TRAIN).digest}, indent=2)
                _add(file, f"{net}.part/recipe.json", about.encode())
                _add(file, f"{net}.toml", _write_toml(recipe))
                for path in sorted((root / f"{net}.part").glob("state-*.pt")):
                    file.add(path, f"{net}.part/{path.name}")
        if plan.start_path(VIT_TI).is_file():
            autoencoding.halve_start(plan, VIT_TI, packed.with_name(f"{NAME}-start.safetensors"))
        return {"file": packed.name, "bytes": packed.stat().st_size}


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


def run(record: Record, options: argparse.Namespace) -> None:
    """Lay out the data, and train and compare."""
    clock = replace(record.clock, seconds=record.clock.seconds - REPORT_S)
    plan = Plan(record.work / "data", clock)
    if options.data is None:
        draw_folders(plan.root)
    else:
        place = lay_out_few if options.rehearse else lay_out
        record.found["data"] = place(options.data, plan.root, FOLDERS, ventricles.NEEDED)
    epochs, pretrain_epochs = EPOCHS, 400
    if options.rehearse:
        plan = replace(plan, width=0.34, batch=8, folds=2, pretrain_batch=8)
        plan = replace(plan, pace_steps=(1, 2), atlas_epochs=1)
        epochs, pretrain_epochs = (1, 1), 5
    Step(record, plan, options.workers, epochs).run(pretrain_epochs)


def draw_folders(root: Path) -> None:
    """Draw all that the step reads, small, as a rehearsal needs no data."""
    for number, name in enumerate(FOLDERS):
        labels = (OTHER if name == ventricles.ATLAS else NORMAL_LABEL, FINDING)
        few = name in (ventricles.TEST, ventricles.NORMALS)
        drawn = 1 if name == ventricles.NORMALS else 2
        draw_cache(root / name, labels, number, patients=2 if few else 5, drawn=drawn)


def main(words: Sequence[str] | None = None) -> int:
    """Run the step by the command line; returns 1 where a part failed or was not reached."""
    return run_step(NAME, make_parser(__doc__, 330), run, words, needs="data")


if __name__ == "__main__":
    raise SystemExit(main())
