"""What Qi et al. 2025 report, to stand beside our figures; theirs, on their patients."""

from typing import Any

CITATION = (
    "Qi Y, Cai J, Lu J, et al. Multi-Center Study on Deep Learning-Assisted Detection and "
    "Classification of Fetal Central Nervous System Anomalies Using Ultrasound Imaging. 2025, "
    "arXiv:2501.02000."
)

CAVEAT = (
    "Published figures, of other patients: 37 with an anomaly, and normal images of a second "
    "hospital. Their checkpoints were chosen on the held-out patient, which flatters; ours are "
    "not, unless the recipe says so."
)

PUBLISHED: dict[str, Any] = {
    "citation": CITATION,
    "caveat": CAVEAT,
    "four_classes": {
        "frames": {
            "accuracy": 0.73,
            "macro_precision": 0.6043,
            "macro_recall": 0.657,
            "macro_f1": 0.618,
            "macro_auroc": 0.8741,
            "micro_auroc": 0.91,
            "auroc": {
                "anencephaly": 0.85,
                "encephalocele": 0.89,
                "holoprosencephaly": 0.88,
                "rachischisis": 0.87,
            },
            "average_precision": {
                "holoprosencephaly": 0.86,
                "rachischisis": 0.78,
                "anencephaly": 0.23,
            },
        },
        "exams": {
            "accuracy": 0.945,
            "macro_precision": 0.956,
            "macro_recall": 0.912,
            "macro_f1": 0.928,
            "macro_auroc": 0.993,
            "labels": ["anencephaly", "encephalocele", "holoprosencephaly", "rachischisis"],
            "confusion": [[3, 1, 0, 0], [0, 8, 0, 0], [0, 0, 15, 0], [0, 0, 1, 8]],
        },
    },
    "five_classes": {
        "frames": {"micro_auroc": 0.97, "macro_auroc": 0.95},
        "exams": {
            "accuracy": 0.9825,
            "macro_precision": 0.9778,
            "macro_recall": 0.9867,
            "macro_f1": 0.9813,
        },
    },
    "twenty_week_p": 0.1432,
}
"""Section II of the paper. Its 20-week test compares the probability given to the true class in 14
exams before with 5 after; it names no test."""
