"""The report of a bundle: how well it judges patients that it was not trained on."""

from neurosono.training.report.write import (
    FOLDER,
    PAGE_NAME,
    REPORT_NAME,
    SCOPE_OUT_OF_FOLD,
    SCOPE_UNSEEN,
    is_trained_on,
    write_held_out_report,
    write_report,
)

__all__ = [
    "FOLDER",
    "PAGE_NAME",
    "REPORT_NAME",
    "SCOPE_OUT_OF_FOLD",
    "SCOPE_UNSEEN",
    "is_trained_on",
    "write_held_out_report",
    "write_report",
]
