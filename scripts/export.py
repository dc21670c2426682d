"""`neurosono export`: a bundle in the form that other servers take."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options

export_app = typer.Typer(no_args_is_help=True, help="Write bundles for other servers.")


@export_app.command()
def triton(
    bundles: Annotated[list[str], typer.Argument(help="Bundles, or `demo`.", metavar="BUNDLE...")],
    out: Annotated[Path, typer.Option(help="The model repository: a folder, made if need be.")],
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    precision: Annotated[
        str | None, typer.Option(help="f32, f16, bf16 or int8. [default: the fastest built]")
    ] = None,
    members: Annotated[int | None, typer.Option(min=1, help="The first N only.")] = None,
    instances: Annotated[int, typer.Option(help="Processes a model.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each; 0: all cores.")] = 0,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="For its GPU container: ONNX through TensorRT, fp16.")
    ] = False,
) -> None:
    """Write a Triton model repository, and in its README how to start the server."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.signature import choose_keys
    from neurosono.engine.triton.repository import Serving, write_repository
    from neurosono.scripts.console import console

    serving = Serving(precision, members, instances, threads, gpu)
    trusted = choose_keys(require_signed, trusted_keys)
    loaded = [Bundle.load(bundle, trusted=trusted) for bundle in bundles]
    for name in write_repository(loaded, out, serving):
        console.print(f"{out / name}: written", soft_wrap=True)


@export_app.callback()
def _group() -> None:
    """Keeps `export triton` two words, while there is one server to export for."""
