"""From a run's built graphs to a bundle of its subject's kind."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.manifest import EngineEntry, Manifest, Member
from neurosono.engine.files import writing
from neurosono.engine.structures.graph import preprocessing_of
from neurosono.training.detect.build import CARD_NAME
from neurosono.training.detect.export import graph_path
from neurosono.training.detect.subject import STRUCTURES_SUBJECT, Subject

REPORT_FOLDER = "report"


def ship(
    folder: Path,
    out: Path,
    name: str,
    precisions: tuple[str, ...] = ("int8",),
    subject: Subject = STRUCTURES_SUBJECT,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Bundle:
    """Write the graphs of a run's `folder` as a bundle at `out`, which must not exist.

    Its card is the run's own, and `more`, with what was measured of it where a report lies in the
    folder.
    Raises `InputError` where a graph was not built or was over its limits, and `OutputError`.
    """
    card = _read_card(folder, precisions, subject)
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder for the bundle")
    with writing(f"the bundle {out}"):
        engines = tuple(_copy_graph(folder, out, each, card) for each in precisions)
        measured = folder / REPORT_FOLDER
        if measured.is_dir():
            shutil.copytree(measured, out / REPORT_FOLDER)
    # a bundle's name is the hash of its manifest without its engines: the card names the weights
    weights = {entry.precision: [file.sha256 for file in entry.files] for entry in engines}
    manifest = Manifest(
        kind=subject.name,
        name=name,
        labels=subject.labels,
        preprocessing=preprocessing_of(int(card["size_px"])),
        members=(Member("00", 1.0),),
        engines=engines,
        card={**card, **more, "weights": weights},
    )
    write_manifest(out, manifest)
    return Bundle.load(out, kind=subject.name)


def _read_card(folder: Path, precisions: tuple[str, ...], subject: Subject) -> dict[str, Any]:
    remedy = f"build it with `{subject.command} build`"
    try:
        card: dict[str, Any] = json.loads((folder / CARD_NAME).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no built graphs ({error}): {remedy}") from error
    if card.get("schema") != subject.schema:
        raise InputError(f"{folder / CARD_NAME} is of another release: {remedy}")
    for precision in precisions:
        graph = card["graphs"].get(precision)
        if graph is None:
            raise InputError(f"{folder} holds no {precision} graph: {remedy}")
        if "refused" in graph:
            raise InputError(f"the {precision} graph in {folder} does not go: {graph['refused']}")
    return card


def _copy_graph(folder: Path, out: Path, precision: str, card: dict[str, Any]) -> EngineEntry:
    place = f"engines/openvino-{precision}"
    (out / place).mkdir(parents=True)
    for suffix in ("xml", "bin"):
        source = graph_path(folder, precision).with_suffix(f".{suffix}")
        shutil.copyfile(source, out / place / f"model.{suffix}")
    files = tuple(file_of(out, f"{place}/model.{suffix}") for suffix in ("bin", "xml"))
    parity = card["graphs"][precision]["parity"]
    return EngineEntry("openvino", precision, 1, files, {"device": "CPU"}, parity)
