"""`neurosono train pretrain`: a transformer's start from pictures that nobody labelled."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurosono.scripts.train.prepare import JsonOption

if TYPE_CHECKING:
    from rich.progress import Progress

    from neurosono.training.pretrain.run import Watch


def pretrain(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Made by `train prepare` or `train gate prepare`; no label is used."),
    ],
    out: Annotated[Path, typer.Option(help="A new folder; its weights go to `train --weights`.")],
    architecture: Annotated[str, typer.Option(help="vit-ti, vit-s or vit-b.")] = "vit-ti",
    width: Annotated[float, typer.Option(help="Attention heads, as a share of all.")] = 1.0,
    size_px: Annotated[int, typer.Option(min=32, help="Side of the pictures.")] = 224,
    epochs: Annotated[int, typer.Option(min=1, help="Times that every picture is seen.")] = 100,
    batch: Annotated[int, typer.Option(min=2, help="Pictures a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, for a batch of 256.")] = 1e-3,
    apart_from: Annotated[
        list[Path] | None,
        typer.Option(help="Caches whose patients must not be learnt from: what will be judged."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Sources of `train gate prepare` to leave out; may be repeated."),
    ] = None,
    precision: Annotated[str, typer.Option(help="f32 or bf16.")] = "bf16",
    seed: Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")] = 0,
    json: JsonOption = None,
) -> None:
    """Hide most of each picture and learn to draw it again. Killed? The same command goes on."""
    from rich.progress import Progress

    from neurosono.scripts.console import check_json_place, console, write_json_report
    from neurosono.training.pretrain.data import gather
    from neurosono.training.pretrain.recipe import PretrainRecipe
    from neurosono.training.pretrain.run import WEIGHTS_NAME, Pretraining

    check_json_place(json)
    recipe = PretrainRecipe(
        architecture=architecture,
        width=width,
        size_px=size_px,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        precision=precision,
        seed=seed,
    )
    pool = gather(folders, apart_from or [], size_px, without or [])
    with Progress(console=console) as bar:
        said = Pretraining(pool, recipe, out).train(_watch(bar, epochs))
    console.print(
        f"{said['pictures']} pictures of {said['patients']} patients, "
        f"{said['pictures_kept_apart']} kept apart; loss {said['losses'][0]:.3f} to "
        f"{said['losses'][-1]:.3f}"
    )
    console.print(f"start members from it: --weights {out / WEIGHTS_NAME}", soft_wrap=True)
    write_json_report(json, said)


def _watch(bar: "Progress", epochs: int) -> "Watch":
    task = bar.add_task("", total=epochs)

    def watch(epoch: int, step: int, steps: int, loss: float) -> None:
        words = f"epoch {epoch + 1}/{epochs} loss {loss:.3f}"
        bar.update(task, completed=epoch + step / steps, description=words)

    return watch
