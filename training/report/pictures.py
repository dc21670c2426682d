"""Frames of the worst exams with the members' class activation maps, as small inline pictures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from matplotlib import colormaps

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import Bundle
from neurosono.engine.cam import combine_cams, eigen_cam
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.arrays import Floats, Pixels, Singles
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.manifest import Member
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.pages.render import inline_jpeg
from neurosono.training.report.worst import WorstExam

if TYPE_CHECKING:
    from neurosono.engine.networks import Network

OPACITY = 0.6
"""Of the hottest spot: anatomy stays visible under it."""

SAME = 0.02
"""Largest difference in probability at which a member counts as the one that judged a frame: what
training computed in float32 comes again within rounding, another member is farther off."""

JPEG_QUALITY = 85


@dataclass(frozen=True)
class FramePictures:
    """A frame alone, with the map of its exam's rival class, and with that of the truth.

    Each is a `data:` address. `unseen` says whether the maps come from networks that had not been
    trained on this patient. `eigen`, where the bundle has its members' weights, shows what the
    networks see most of, whichever class (`engine.cam.eigen_cam`).
    """

    plain: str
    rival: str
    truth: str
    unseen: bool
    eigen: str | None = None


def draw_worst(
    bundle: Bundle, cache: Cache, frames: Predictions, worst: list[WorstExam]
) -> dict[int, FramePictures]:
    """Return pictures by row of `frames`; `frames` are uncalibrated, as they were judged.

    An out-of-fold frame is explained by the member that judged it, if the bundle still has it;
    otherwise by the whole ensemble, which then knew the patient.
    """
    opened = _Opened(bundle)
    drawn = {}
    for exam in worst:
        for at in exam.frames:
            grey = np.array(cache.frames[frames.rows[at]])
            cams, unseen = opened.explain(grey, int(frames.folds[at]), frames.probabilities[at])
            heat = combine_cams(cams)
            eigen = opened.look(grey, int(frames.folds[at]) if unseen else -1, exam.rival, cams)
            drawn[at] = FramePictures(
                plain=inline_jpeg(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), JPEG_QUALITY),
                rival=inline_jpeg(lay_over(grey, heat[exam.rival]), JPEG_QUALITY),
                truth=inline_jpeg(lay_over(grey, heat[exam.truth]), JPEG_QUALITY),
                unseen=unseen,
                eigen=None if eigen is None else inline_jpeg(lay_over(grey, eigen), JPEG_QUALITY),
            )
    return drawn


class _Opened:
    """The bundle's networks, opened once each, when first asked for."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._backends: dict[int, Backend | None] = {}
        self._networks: dict[str, Network] = {}

    def explain(self, grey: Pixels, fold: int, judged: Floats) -> tuple[Singles, bool]:
        """Return maps `(M, C, h, w)`, and whether they are of networks blind to the patient."""
        single = self._open(fold) if fold >= 0 else None
        if single is not None:
            answer = single.infer(grey[None])
            if np.abs(answer.probabilities[0, 0] - judged).max() <= SAME:
                return answer.cams[0], True
        ensemble = self._open(-1)
        assert ensemble is not None
        return ensemble.infer(grey[None]).cams[0], fold < 0

    def look(self, grey: Pixels, fold: int, label: int, cams: Singles) -> Singles | None:
        """Return the Eigen-CAM `(h, w)`, 0 to 1, of the networks whose class maps `cams` are.

        Each is turned the way of its own map of class `label`. None without the members' weights.
        """
        members = self._bundle.manifest.members
        if fold >= 0:
            members = tuple(each for each in members if each.name == f"{fold:02d}")
        if not all(each.file is not None for each in members) or len(members) != len(cams):
            return None
        import torch

        from neurosono.engine.network import Ensemble

        spec = self._bundle.manifest.preprocessing
        found = []
        with torch.inference_mode():
            for member, own in zip(members, cams, strict=True):
                network = self._load(member)
                x = Ensemble([network], spec).normalise(torch.from_numpy(grey)[None, None])
                found.append(eigen_cam(network.feature_maps(x)[0].numpy(), own[label]))
        combined: Singles = combine_cams(np.stack(found)[:, None])[0]
        return combined

    def _load(self, member: Member) -> "Network":
        from neurosono.engine.members import load_member

        if member.name not in self._networks:
            self._networks[member.name] = load_member(self._bundle, member)
        return self._networks[member.name]

    def _open(self, fold: int) -> Backend | None:
        if fold not in self._backends:
            single = _open_member(self._bundle, fold)
            self._backends[fold] = single if fold >= 0 else _open_ensemble(self._bundle)
        return self._backends[fold]


def _open_member(bundle: Bundle, fold: int) -> Backend | None:
    """Open the member of a fold, or return None where the bundle has not kept it."""
    from neurosono.engine.backends.torch import TorchBackend
    from neurosono.engine.members import load_member
    from neurosono.engine.network import Ensemble

    name = f"{fold:02d}"
    member = next((each for each in bundle.manifest.members if each.name == name), None)
    if member is None or member.file is None:
        return None
    return TorchBackend(Ensemble([load_member(bundle, member)], bundle.manifest.preprocessing))


def _open_ensemble(bundle: Bundle) -> Backend:
    """Open the fastest engine that there is: maps are for the eye."""
    try:
        return open_engine(bundle, "openvino").backend
    except BundleError:
        return open_engine(bundle, "torch").backend


def lay_over(grey: Pixels, heat: Singles) -> Pixels:
    """Colour `heat`, `(h, w)` in 0 to 1, over a `(S, S)` picture; returns `(S, S, 3)` BGR uint8.

    Where the map is 0 the picture is as it was.
    """
    side = grey.shape[::-1]
    spread = np.clip(cv2.resize(heat, side, interpolation=cv2.INTER_LINEAR), 0.0, 1.0)
    colours = colormaps["inferno"](spread)[..., 2::-1] * 255
    share = (OPACITY * spread)[..., None]
    mixed = grey[..., None] * (1 - share) + colours * share
    return np.asarray(np.round(mixed), dtype=np.uint8)
