"""`neurosono train letters` and `train flow`: what finds writing and flow on the ultrasound."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurosono.scripts.train.flow_sheets import Described, Sheet
    from neurosono.training.letters.fit import Background
    from neurosono.training.letters.typefaces import Typeface

FLOW_SEED = 50_000
"""Of the first generated exam: none of them is anybody's demo."""
MUCH = 0.005
"""Of a picture's anatomy: no more should be hidden where nothing is written."""
SEEN_SHARE = 0.003
"""Of a picture: flow that covers less is not counted as missed."""

PicturesArgument = Annotated[
    Path, typer.Argument(help="A folder of real ultrasound to write on; nothing of it is stored.")
]
FontsOption = Annotated[
    list[Path], typer.Option(help="A folder of fonts (.ttf, .otf); again for others.")
]
PhantomsOption = Annotated[int, typer.Option(min=1, help="Generated exams to write on, too.")]


def letters(
    pictures: PicturesArgument,
    fonts: FontsOption,
    out: Annotated[
        Path | None,
        typer.Option(help="The network: a new file in ONNX. [default: the shipped is measured]"),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="A network to teach on; where it errs on generated exams is shown more."),
    ] = None,
    phantoms: PhantomsOption = 140,
    first_phantom: Annotated[
        int, typer.Option(min=0, help="The first of those: others than these were taught on.")
    ] = 0,
    rate: Annotated[float, typer.Option(help="Highest rate of learning.")] = 4e-3,
    seed: Annotated[int, typer.Option(help="Of the names that are burned in.")] = 0,
    steps: Annotated[int, typer.Option(min=20, help="Batches of ten pages.")] = 4000,
    names: Annotated[int, typer.Option(min=1, help="To burn in and look for, at the end.")] = 500,
) -> None:
    """Teach the network that finds letters on the ultrasound, and measure what it leaves."""
    from neurosono.training.letters.fit import Lesson, teach
    from neurosono.training.letters.network import export, read_network

    taught, kept, faces = _gather(pictures, fonts, phantoms, first_phantom)
    held_out = [face for face in faces if face.is_held_out]
    if out is None:
        _measure(None, kept, held_out, names, seed)
        return
    begun = None
    if start is not None:
        taught, begun = _show_mistakes(taught, start), read_network(start)
    with _show("letters", steps) as bar:
        network = teach(
            taught,
            [face for face in faces if not face.is_held_out],
            Lesson(steps=steps, rate=rate),
            lambda step, loss, _: bar(step, loss),
            begun,
        )
    export(network, out)
    _measure(out, kept, held_out, names, seed)


def _show_mistakes(grounds: "list[Background]", network: Path) -> "list[Background]":
    """Return pictures, of which a third are those where a network takes for letters what is none.

    Only where nothing is written for certain, as on generated exams, is it known to err.
    """
    from dataclasses import replace

    from neurosono.stream.pictures.finder import Finder
    from neurosono.stream.screen.letters import MULTIPLE_PX, find_letters

    finder = Finder(network, MULTIPLE_PX)
    found = [
        replace(each, mistaken=find_letters(each.pixels, finder)) for each in grounds if each.bare
    ]
    wrong = [each for each in found if each.mistaken]
    return grounds + wrong * round(len(grounds) / max(1, 2 * len(wrong)))


def flow(
    pictures: PicturesArgument,
    out: Annotated[Path, typer.Option(help="The trees: a new file, .npz.")],
    fonts: FontsOption,
    sheets: Annotated[int, typer.Option(min=10, help="Real pictures to paint on.")] = 900,
    exams: Annotated[int, typer.Option(min=5, help="Generated exams to learn from.")] = 220,
) -> None:
    """Teach the trees that tell flow from coloured writing, and measure what they miss."""
    import numpy as np

    from neurosono.training.flow.forest import teach, write_trees

    taught, kept, faces = _gather(pictures, fonts, 1)
    latin = [face for face in faces if "LATIN" in face.letters]
    shown = _describe(taught, latin, sheets, range(FLOW_SEED, FLOW_SEED + exams), "taught")
    features = np.concatenate([each.features for each, _, _ in shown])
    shares = np.concatenate([each.shares for each, _, _ in shown])
    write_trees(teach(features, shares, np.concatenate([each.sizes for each, _, _ in shown])), out)
    seeds = range(FLOW_SEED + exams, FLOW_SEED + exams + max(5, exams // 5))
    _measure_flow(out, _describe(kept, latin, sheets // 5, seeds, "kept"))


def _describe(
    grounds: "list[Background]", faces: "list[Typeface]", count: int, seeds: range, name: str
) -> "list[tuple[Described, int, Sheet]]":
    """Return the pieces of each sheet, its lit pixels, and the sheet, without its pixels."""
    from dataclasses import replace
    from itertools import chain

    import numpy as np

    from neurosono.scripts.train.flow_sheets import describe, draw_phantoms, draw_sheets

    rng = np.random.default_rng(seeds.start)
    pixels = [each.pixels for each in grounds]
    drawn = chain(draw_sheets(pixels, faces, count, rng), draw_phantoms(seeds, faces, rng))
    found = []
    with _show(f"sheets {name}", 3 * count + len(seeds) * 10) as bar:
        for k, sheet in enumerate(drawn):
            described, lit = describe(sheet, rng)
            found.append((described, lit, replace(sheet, pixels=sheet.pixels[:1, :1])))
            bar(k + 1, 0.0)
    return found


def _measure_flow(trees: Path, shown: "list[tuple[Described, int, Sheet]]") -> None:
    """Print the misses of flow that covers enough to be seen, and the false alarms, by kind."""
    from neurosono.scripts.console import console
    from neurosono.stream.pictures.flow import Forest, is_flow

    forest = Forest(trees)
    counts: dict[str, list[bool]] = {}
    for described, lit, sheet in shown:
        share = float(sheet.flow.mean())
        if 0 < share < SEEN_SHARE:
            continue
        right = is_flow(forest, described.features, described.sizes, lit) == (share > 0)
        counts.setdefault(sheet.kind if share else f"{sheet.kind}: none", []).append(right)
    for kind, rights in sorted(counts.items()):
        console.print(f"{kind}: {len(rights) - sum(rights)} of {len(rights)} wrong")


@contextmanager
def _show(name: str, steps: int) -> Iterator[Callable[[int, float], None]]:
    """Show a bar; what is given takes the step and its loss."""
    from rich.progress import Progress

    from neurosono.scripts.console import console

    with Progress(console=console) as bar:
        task = bar.add_task(name, total=steps)
        yield lambda step, loss: bar.update(
            task, completed=step, description=f"{name} loss {loss:.4f}"
        )


def _gather(
    folder: Path, fonts: list[Path], phantoms: int, first_phantom: int = 0
) -> "tuple[list[Background], list[Background], list[Typeface]]":
    """Return pictures to teach on, pictures to measure on, and fonts, those for Latin twice."""
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console
    from neurosono.scripts.train.grounds import gather_grounds
    from neurosono.training.letters.typefaces import find_typefaces

    faces = find_typefaces(fonts)
    if not faces:
        raise InputError("there is no font in the folders given: name one that holds .ttf files")
    faces += [face for face in faces if "LATIN" in face.letters]
    found = list(gather_grounds(folder, phantoms, first_phantom))
    taught = [ground for ground, held_out in found if not held_out]
    kept = [ground for ground, held_out in found if held_out]
    console.print(f"{len(taught)} pictures to teach on, {len(kept)} to measure on")
    return taught, kept, faces


def _measure(
    network: Path | None,
    kept: "list[Background]",
    faces: "list[Typeface]",
    count: int,
    seed: int,
) -> None:
    import numpy as np

    from neurosono.scripts.console import console
    from neurosono.stream.pictures.finder import Finder
    from neurosono.stream.screen.letters import LETTERS, MULTIPLE_PX, find_letters
    from neurosono.training.letters.legibility import measure_hidden, measure_names, where_lit

    finder = LETTERS if network is None else Finder(network, MULTIPLE_PX)
    grounds = [(each.pixels, where_lit(each)) for each in kept]
    found = measure_names(
        grounds, faces, lambda picture: find_letters(picture, finder), count, seed
    )
    for name, some in (("all", found), ("over lit tissue", [n for n in found if n.is_lit])):
        legible = sum(each.is_legible for each in some)
        console.print(f"{name}: {legible} of {len(some)} names legible")
    bare = [place for place, each in zip(grounds, kept, strict=True) if each.bare]
    for name, places in (("all", grounds), ("generated", bare)):
        hidden = measure_hidden(places, lambda picture: find_letters(picture, finder)) or [0.0]
        console.print(
            f"hidden where nothing was written, of {len(places)} pictures, {name}: "
            f"{100 * float(np.mean(hidden)):.2f} %, at worst {100 * max(hidden):.1f} %, of "
            f"{sum(each > MUCH for each in hidden)} more than {100 * MUCH} %"
        )
