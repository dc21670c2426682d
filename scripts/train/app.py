"""`neurosono train`: from a folder of patients to a bundle, with its steps."""

import typer

from neurosono.scripts.group import standing_for
from neurosono.scripts.train.evaluate import evaluate
from neurosono.scripts.train.finders import flow, letters
from neurosono.scripts.train.gate import gate_app
from neurosono.scripts.train.patterns import patterns_app
from neurosono.scripts.train.prepare import prepare
from neurosono.scripts.train.pretrain import pretrain
from neurosono.scripts.train.regions import regions_app
from neurosono.scripts.train.report import report
from neurosono.scripts.train.run import recipes, run
from neurosono.scripts.train.sizes import compare, soup, student, top
from neurosono.scripts.train.structures import structures_app
from neurosono.scripts.train.versus import atlas, versus

train_app = typer.Typer(
    cls=standing_for("run"),
    no_args_is_help=True,
    help="Train members on patients: `train DATASET --out BUNDLE`, or one of the steps. "
    "`train run --help` lists what may follow `train DATASET`.",
)

train_app.add_typer(gate_app, name="gate")
train_app.add_typer(structures_app, name="structures")
train_app.add_typer(patterns_app, name="patterns")
train_app.add_typer(regions_app, name="regions")
for _command in (
    prepare,
    run,
    evaluate,
    report,
    recipes,
    pretrain,
    top,
    soup,
    student,
    compare,
    versus,
    atlas,
    letters,
    flow,
):
    train_app.command()(_command)
