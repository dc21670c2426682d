"""`neurosono train`: from a folder of patients to a bundle, with its steps."""

from typing import Any

import typer
from typer.core import TyperGroup

from scripts.train_evaluate import evaluate
from scripts.train_prepare import prepare
from scripts.train_run import recipes, run


class _RunByDefault(TyperGroup):
    """`train DATASET` is short for `train run DATASET`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


train_app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Train members on patients: `train DATASET --out BUNDLE`, or one of the steps.",
)

for _command in (prepare, run, evaluate, recipes):
    train_app.command()(_command)
