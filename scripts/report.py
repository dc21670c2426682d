"""`neurosono report`: an exam as one page, to print or to file; two arms of readings compared."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options
from neurosono.scripts.group import standing_for
from neurosono.scripts.report_study import study

report_app = typer.Typer(
    cls=standing_for("exam"),
    no_args_is_help=True,
    help="An exam as one page: `report EXAM`; `report exam --help` lists what may follow. Or "
    "readings compared, with the AI beside and after: `report study`.",
)
report_app.command()(study)


@report_app.command(name="exam")
def report(
    exam: Annotated[str, typer.Argument(help="An exam's id, its beginning, or `last`.")],
    journal: Annotated[
        Path | None,
        typer.Option(help="The journal. [default: $XDG_DATA_HOME/neurosono/journal.sqlite]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page. [default: neurosono-EXAM.html, here]")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a page that is there already.")
    ] = False,
    bundle: Annotated[
        str | None, typer.Option(help="The bundle that judged it: a folder, or `demo`.")
    ] = None,
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
) -> None:
    """Write an exam's report: result, curve, kept frames, what was skipped, the model card."""
    from neurosono.engine.contracts.errors import OutputError
    from neurosono.scripts.console import console
    from neurosono.scripts.exams import open_recorded
    from neurosono.stream.report.gather import describe_report
    from neurosono.stream.report.page import write_report

    loaded = options.load_given(bundle, require_signed, trusted_keys)
    with open_recorded(journal) as opened, opened.read() as reader:
        found = describe_report(reader, exam, loaded)
    path = out or Path(f"neurosono-{found.exam.exam_id}.html")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already: choose another --out, or say --overwrite")
    write_report(found, path)
    console.print(f"report of exam {found.exam.exam_id}: {path.resolve()}", soft_wrap=True)
