"""A regions bundle whose networks are written down: a bright crop speaks for abnormal.

Its detector is `tests.support.structures`'s: a picture brighter than `BRIGHT_MEAN` shows a
cerebellum, any other what the trans-ventricular plane holds, and by these the planes are told. What
is familiar is anything but crops brighter than `STRANGE_LEVEL`.
"""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as op

from neurosono.engine.bundle import file_of, write_manifest
from neurosono.engine.contracts.manifest import REGIONS as KIND
from neurosono.engine.contracts.manifest import EngineEntry, Manifest, Member
from neurosono.engine.familiarity import FLOOR, Familiarity
from neurosono.engine.kinds.regions import name_familiarity
from neurosono.engine.regions.graph import EARLY, FEATURES, INPUTS, OUTPUTS
from neurosono.engine.regions.names import PLANES, VERDICTS
from neurosono.engine.regions.view import A_PLANE, CONTEXT, CROP_PX
from neurosono.engine.structures.graph import preprocessing_of
from tests.support.structures import SIZE_PX, make_graph

BRIGHT_MEAN = 60.0
MIDDLE_LEVEL, STEP = 140.0, 20.0
"""Of a crop: the mean level that speaks for nothing, and what speaks for one more of log-odds."""
STRANGE_LEVEL = 200.0


def make_regions_bundle(
    root: Path, name: str = "regions", size_px: int = SIZE_PX, held_head: bool = False
) -> Path:
    """Write the bundle; returns `root`."""
    folder = root / "engines/openvino-f32"
    folder.mkdir(parents=True)
    finder = make_graph(size_px, bright_mean=BRIGHT_MEAN, held_head=held_head)
    ov.save_model(finder, folder / "finder.xml", compress_to_fp16=False)
    ov.save_model(make_judge(), folder / "regions.xml", compress_to_fp16=False)
    for plane in PLANES:
        make_familiarity().save(folder / name_familiarity(plane))
    names = sorted(each.name for each in folder.iterdir())
    files = tuple(file_of(root, f"engines/openvino-f32/{each}") for each in names)
    manifest = Manifest(
        kind=KIND,
        name=name,
        labels=VERDICTS,
        preprocessing=preprocessing_of(size_px),
        members=(Member("00", 1.0),),
        engines=(EngineEntry("openvino", "f32", 1, files),),
        card={"intended_use": "tests"},
    )
    write_manifest(root, manifest)
    return root


def make_judge() -> ov.Model:
    """Return the network as a graph: a plane's crops and context in, `OUTPUTS` out."""
    crops = op.parameter([A_PLANE, 1, CROP_PX, CROP_PX], np.uint8, name=INPUTS[0])
    context = op.parameter([A_PLANE, CONTEXT], np.float32, name=INPUTS[1])
    mean = op.reduce_mean(op.convert(crops, np.float32), [1, 2, 3], keep_dims=False)
    spoken = op.divide(op.subtract(mean, np.float32(MIDDLE_LEVEL)), np.float32(STEP))
    # the score of each plane's first structure, the cavum and the cerebellum, tells the plane
    first = np.eye(CONTEXT, 1, dtype=np.float32)
    sure = op.squeeze(op.matmul(context, first, False, False), [1])
    likeness = op.multiply(op.subtract(sure, np.float32(0.5)), np.float32(4))
    level = op.reshape(op.divide(mean, np.float32(255)), [A_PLANE, 1], False)
    features = op.multiply(level, np.ones((1, FEATURES), np.float32))
    results = []
    for name, each in zip(OUTPUTS, (spoken, likeness, features), strict=True):
        output = op.convert(each, np.float32).output(0)
        output.get_tensor().set_names({name})
        results.append(output)
    model = ov.Model(results, [crops, context], "regions")
    for port, name in zip(model.inputs, INPUTS, strict=True):
        port.get_tensor().set_names({name})
    return model


def make_familiarity() -> Familiarity:
    """Return what is familiar: crops that are darker than `STRANGE_LEVEL` on average."""
    shape = (A_PLANE, EARLY)
    plane = np.full(shape, 1 / shape[1])
    limit = np.log(STRANGE_LEVEL / 255 + FLOOR)
    typical = np.tile([0.0, limit - 1], (A_PLANE, 1))
    limits = np.tile([1e9, limit], (A_PLANE, 1))
    return Familiarity(np.zeros(shape), np.ones(shape), plane, typical, limits)


def draw_head(level: int, ground: int = 0, height: int = 300, width: int = 400) -> np.ndarray:
    """Return a picture (H, W) of an even head of this level on an even ground."""
    import cv2

    picture = np.full((height, width), ground, np.uint8)
    cv2.ellipse(picture, ((width / 2, height / 2), (240, 180), 20), (level,), -1)
    return picture
