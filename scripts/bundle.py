"""`neurosono bundle`: who made a bundle, and whether it is still what they made."""

from pathlib import Path
from typing import Annotated

import typer

bundle_app = typer.Typer(no_args_is_help=True, help="Sign bundles, and verify who signed them.")

Folder = Annotated[str, typer.Argument(help="A bundle's folder, or `demo`.", metavar="BUNDLE")]
Keys = Annotated[
    Path | None,
    typer.Option(help="The site's list, `NAME KEY` a line. [default: the user's config folder]"),
]


@bundle_app.command()
def make_key(
    key: Annotated[Path, typer.Argument(help="The file for the new private key.")],
    name: Annotated[str, typer.Option(help="Who it belongs to, one word.")] = "maker",
) -> None:
    """Make a key to sign with; prints the line for a site's list of trusted keys."""
    from neurosono.engine.signature import make_key as make
    from neurosono.scripts.console import console

    console.print(f"{name} {make(key)}", markup=False, highlight=False, soft_wrap=True)


@bundle_app.command()
def sign(
    bundle: Folder,
    key: Annotated[Path, typer.Option(help="The private key that `make-key` wrote.")],
) -> None:
    """Sign a bundle: its manifest, which answers for every file. Sign anew after `build`."""
    from neurosono.engine.bundle import Bundle, read_manifest_bytes
    from neurosono.engine.signature import sign as sign_manifest
    from neurosono.scripts.console import console

    root = Bundle.load(bundle, kind=None).root
    public = sign_manifest(root, read_manifest_bytes(root), key)
    console.print(f"{root}: signed by {public}", markup=False, highlight=False, soft_wrap=True)


@bundle_app.command()
def verify(bundle: Folder, trusted_keys: Keys = None) -> None:
    """Say who signed a bundle; exit code 2 unless a trusted key did and no file was altered."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.signature import find_trusted_keys
    from neurosono.scripts.console import console

    loaded = Bundle.load(bundle, kind=None, trusted=trusted_keys or find_trusted_keys())
    words = f"{loaded.root}: signed by {loaded.signer}, every file as signed"
    console.print(words, markup=False, highlight=False, soft_wrap=True)
