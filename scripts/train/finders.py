"""`neurosono train letters | flow`: the small networks that capture looks at a screen with."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neurosono.training.letters.fit import Background
    from neurosono.training.letters.typefaces import Typeface

PicturesArgument = Annotated[
    Path, typer.Argument(help="A folder of real ultrasound to write on; nothing of it is stored.")
]
FontsOption = Annotated[
    list[Path], typer.Option(help="A folder of fonts (.ttf, .otf); again for others.")
]
OutOption = Annotated[Path, typer.Option(help="The network: a new file in ONNX.")]
PhantomsOption = Annotated[int, typer.Option(min=1, help="Generated exams to write on, too.")]
MOST_NOTES = 12
"""Coloured notes on a page of the flow finder, at most."""


def letters(
    pictures: PicturesArgument,
    out: OutOption,
    fonts: FontsOption,
    phantoms: PhantomsOption = 140,
    steps: Annotated[int, typer.Option(min=10, help="Batches of ten pages.")] = 4000,
    names: Annotated[int, typer.Option(min=1, help="To burn in and look for, at the end.")] = 500,
) -> None:
    """Teach the network that finds letters on the ultrasound, and measure what it leaves."""
    from neurosono.training.letters.fit import Lesson, teach
    from neurosono.training.letters.network import export

    taught, kept, faces = _gather(pictures, fonts, phantoms)
    with _Bar("letters", steps) as bar:
        network = teach(
            taught,
            [face for face in faces if not face.is_held_out],
            Lesson(steps=steps),
            lambda step, loss, _: bar(step, loss),
        )
    export(network, out)
    _measure(out, kept, [face for face in faces if face.is_held_out], names)


def flow(
    pictures: PicturesArgument,
    out: OutOption,
    fonts: FontsOption,
    phantoms: PhantomsOption = 140,
    steps: Annotated[int, typer.Option(min=10, help="Batches of twelve pages.")] = 600,
) -> None:
    """Teach the network that tells colour and power Doppler from what is written in colour."""
    from neurosono.stream.phantom.notes import Notes
    from neurosono.training.flow.fit import teach
    from neurosono.training.flow.lettering import write_words
    from neurosono.training.letters.network import export

    taught, _, faces = _gather(pictures, fonts, phantoms)
    faces = [face for face in faces if not face.is_held_out]

    def annotate(picture: Any, rng: Any) -> None:
        box = (0, 0, picture.shape[1], picture.shape[0])
        if rng.random() < 0.7:
            Notes(int(rng.integers(1, MOST_NOTES)), rng, box).draw(picture)
        if rng.random() < 0.6:
            write_words(picture, rng, faces)

    grounds = [ground.pixels for ground in taught]
    with _Bar("flow", steps) as bar:
        network = teach(grounds, annotate, steps=steps, watch=bar)
    export(network, out, channels=3)


class _Bar:
    """A progress bar that tells the loss."""

    def __init__(self, name: str, steps: int) -> None:
        from rich.progress import Progress

        from neurosono.scripts.console import console

        self._name, self._bar = name, Progress(console=console)
        self._task = self._bar.add_task(name, total=steps)

    def __enter__(self) -> Callable[[int, float], None]:
        self._bar.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tell(self, step: int, loss: float) -> None:
        self._bar.update(self._task, completed=step, description=f"{self._name} loss {loss:.4f}")


def _gather(
    folder: Path, fonts: list[Path], phantoms: int
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
    found = list(gather_grounds(folder, phantoms))
    taught = [ground for ground, held_out in found if not held_out]
    kept = [ground for ground, held_out in found if held_out]
    console.print(f"{len(taught)} pictures to teach on, {len(kept)} to measure on")
    return taught, kept, faces


def _measure(network: Path, kept: "list[Background]", faces: "list[Typeface]", count: int) -> None:
    import numpy as np

    from neurosono.scripts.console import console
    from neurosono.stream.pictures.finder import Finder
    from neurosono.stream.screen.letters import MULTIPLE_PX, find_letters
    from neurosono.training.letters.legibility import measure_hidden, measure_names, where_lit

    finder = Finder(network, MULTIPLE_PX)
    grounds = [(each.pixels, where_lit(each)) for each in kept]
    found = measure_names(grounds, faces, lambda picture: find_letters(picture, finder), count)
    for name, some in (("all", found), ("over lit tissue", [n for n in found if n.is_lit])):
        legible = sum(each.is_legible for each in some)
        console.print(f"{name}: {legible} of {len(some)} names legible")
    hidden = measure_hidden(grounds, lambda picture: find_letters(picture, finder))
    console.print(f"hidden where nothing was written: {100 * float(np.mean(hidden)):.2f} %")
