"""PyTorch eager: the reference that every other backend is compared with; CPU or CUDA."""

import numpy as np
import torch
from numpy.typing import NDArray

from engine.backends import Inference
from engine.contracts.errors import EngineUnavailableError, InputError
from engine.network import Ensemble


class TorchBackend:
    """An ensemble run by PyTorch as it is written, in float32."""

    name = "torch"
    precision = "f32"

    def __init__(self, ensemble: Ensemble, device: str = "cpu") -> None:
        """Put `ensemble` on `device`; raises `EngineUnavailableError` where there is none."""
        try:
            self._ensemble = ensemble.eval().to(device)
        except (RuntimeError, AssertionError) as error:
            raise EngineUnavailableError(
                f"torch has no device {device!r} here ({error}): use --engine openvino"
            ) from error
        self.members = len(ensemble.members)
        self._device = device

    @torch.inference_mode()
    def infer(self, grey: NDArray[np.uint8]) -> Inference:
        """Judge `(B, size, size)` uint8 pictures; raises `InputError` on another shape or dtype."""
        if grey.ndim != 3 or grey.dtype != np.uint8:
            raise InputError(
                f"the engine takes (B, size, size) uint8, found {grey.shape} {grey.dtype}"
            )
        batch = torch.from_numpy(np.ascontiguousarray(grey)).unsqueeze(1).to(self._device)
        return Inference(*(output.float().cpu().numpy() for output in self._ensemble(batch)))
