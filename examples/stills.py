"""A folder of stills, each judged by itself, with its heatmap where there is one.

python examples/stills.py stills/ heatmaps/
"""

import sys
from pathlib import Path

import cv2

import neurosono


def main(stills: Path, heatmaps: Path) -> None:
    """Print a line a still; write what the leading class was seen in to `heatmaps`."""
    heatmaps.mkdir(parents=True, exist_ok=True)
    bundle = neurosono.open_bundle("demo")
    for number, path in enumerate(sorted(stills.iterdir())):
        try:
            picture, result = next(iter(neurosono.judge(path, bundle)))
        except neurosono.SourceError as error:
            print(f"{number:4} left out: {error}")
            continue
        if result.probabilities is None:
            print(f"{number:4} skipped: {result.skip_reason}")
            continue
        leading = max(result.probabilities, key=result.probabilities.__getitem__)
        print(f"{number:4} {leading}, {neurosono.percentage(result.probabilities[leading])}")
        heatmap = result.paint(picture)
        if heatmap is not None:
            cv2.imwrite(str(heatmaps / f"{number:04}.png"), heatmap)
    print(neurosono.NOTICE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
