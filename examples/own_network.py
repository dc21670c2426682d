"""A network of one's own judges an exam: anything with a method `infer` may be the engine.

python examples/own_network.py clip.mp4
"""

import sys

import numpy as np
from numpy.typing import NDArray

import neurosono


class Symmetry:
    """Not a network at all: how far the left half mirrors the right one, by NumPy alone."""

    name, precision, members = "symmetry", "f32", 1

    def infer(self, grey: NDArray[np.uint8]) -> neurosono.Inference:
        """Judge B squares: probabilities (B, 1, 2), class maps (B, 1, 2, 8, 8), features."""
        levels = grey.astype(np.float32) / 255
        apart = np.abs(levels - levels[:, :, ::-1])
        side = grey.shape[1] // 8
        cells = apart.reshape(len(grey), 8, side, 8, side).mean((2, 4))
        symmetric = np.exp(-8 * apart.mean((1, 2)))
        probabilities = np.stack([symmetric, 1 - symmetric], axis=1)[:, None]
        maps = np.stack([1 - cells, cells], axis=1)[:, None]
        return neurosono.Inference(probabilities, maps, symmetric[:, None, None])


def main(source: str) -> None:
    """Judge an exam, and print what the two classes come to."""
    bundle = neurosono.wrap_network(Symmetry(), ("symmetric", "asymmetric"), name="symmetry-1")
    *_, (_, last) = neurosono.judge(source, bundle)
    print({label: neurosono.percentage(value) for label, value in last.exam.items()})
    print(f"{last.exam.used} frames used, skipped: {last.exam.skipped}. {neurosono.NOTICE}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "phantom:normal?seed=2&seconds=2")
