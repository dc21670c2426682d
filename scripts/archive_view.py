"""An archive as the terminal shows it: how many exams are done, and how long the rest takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from neurosono.archive.run import SUMMARY_NAME, run_archive
from neurosono.archive.tables import FAILURES, PAGE, RESULTS
from neurosono.scripts.console import check_json_place, console, write_json_report

if TYPE_CHECKING:
    from pathlib import Path

    from neurosono.archive.options import ArchiveOptions, Asked
    from neurosono.archive.run import Progress


def show_archive(options: ArchiveOptions, asked: Asked, json_path: Path | None) -> None:
    """Judge an archive with a progress bar, then print the paths of what was written."""
    check_json_place(json_path)
    columns = (
        *(TextColumn("{task.description}"), BarColumn()),
        *(TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("listing the archive", total=None)

        def show(progress: Progress) -> None:
            text = f"{progress.done} of {progress.listed} exams, {progress.failed} failed"
            bar.update(task, description=text, completed=progress.done, total=progress.listed)

        try:
            summary = run_archive(options, asked, show)
        finally:
            bar.stop()
            if (options.out / SUMMARY_NAME).is_file():
                for name in (RESULTS, FAILURES, PAGE):
                    console.print(f"  {options.out / name}", soft_wrap=True, markup=False)
    write_json_report(json_path, summary)
