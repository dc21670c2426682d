"""Pictures from a camera of one's own, judged as they come.

python examples/camera.py 0         # the number of a camera, or anything else that OpenCV opens
"""

import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np

import neurosono


def watch(camera: cv2.VideoCapture) -> Iterator[neurosono.Picture]:
    """Yield what the camera sees, with the time at which it was seen."""
    began_s = time.monotonic()
    index = 0
    while True:
        seen, pixels = camera.read()
        if not seen:
            return
        grey_or_bgr = np.asarray(pixels, dtype=np.uint8)
        yield neurosono.Picture(index, 0, time.monotonic() - began_s, grey_or_bgr)
        index += 1


def main(device: str) -> None:
    """Print how the exam stands, once a second of the camera's time."""
    camera = cv2.VideoCapture(int(device) if device.isdecimal() else device)
    if not camera.isOpened():
        sys.exit(f"no camera {device} can be opened")
    said_s = float("-inf")
    for _, result in neurosono.judge(watch(camera), rate_hz=10):
        if result.pts_s - said_s >= 1:
            said_s = result.pts_s
            exam = result.exam
            print(f"{said_s:6.1f} s  {exam.state}  {exam.prediction or '-'}  {exam.used} used")
    print(neurosono.NOTICE)


if __name__ == "__main__":
    main(sys.argv[1])
