"""A clip, a DICOM file, a folder or a phantom in; how the exam ends out.

python examples/clip.py clip.mp4
"""

import sys

import neurosono


def main(source: str) -> None:
    """Judge every picture and print the exam after the last."""
    exam = None
    for _, result in neurosono.judge(source, bundle="demo"):
        exam = result.exam
    if exam is None:
        sys.exit("there was no picture")
    print(f"{exam.state}, {exam.used} frames used, skipped: {exam.skipped or 'none'}")
    for label, probability in exam.items():
        low, high = exam.interval(label)
        marked = "*" if label in exam.prediction_set else " "
        words = [neurosono.percentage(each) for each in (probability, low, high)]
        print(f"{marked} {label:20} {words[0]:>8}   95 %: {words[1]} to {words[2]}")
    print(neurosono.NOTICE)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "phantom:rachischisis?seed=3&seconds=4")
