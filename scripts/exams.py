"""`neurosono exams`: the recorded exams; list, show, export, delete, replay, prune."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurosono.scripts import options

if TYPE_CHECKING:
    from neurosono.stream.journal.journal import Journal

exams_app = typer.Typer(no_args_is_help=True, help="The exams that were recorded on this machine.")

JournalOption = Annotated[
    Path | None,
    typer.Option(
        "--journal", help="The journal. [default: $XDG_DATA_HOME/neurosono/journal.sqlite]"
    ),
]
ExamArgument = Annotated[str, typer.Argument(help="An exam's id, its beginning, or `last`.")]
JsonOption = Annotated[Path | None, typer.Option(help="Also write it there; - for stdout.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@exams_app.command("list")
def list_exams(journal: JournalOption = None, json: JsonOption = None) -> None:
    """List the recorded exams, the newest first."""
    from neurosono.scripts.console import console, write_json_report
    from neurosono.scripts.exams_view import tabulate
    from neurosono.stream.journal.describe import describe_summary
    from neurosono.stream.journal.schema import default_path

    found = []
    if journal is not None or default_path().exists():
        with open_recorded(journal) as opened, opened.read() as reader:
            found = [describe_summary(exam) for exam in reader.exams()]
    console.print(tabulate(found) if found else "no exam has been recorded yet")
    write_json_report(json, {"exams": found})


@exams_app.command()
def show(exam: ExamArgument, journal: JournalOption = None, json: JsonOption = None) -> None:
    """Show one exam: its result, what was skipped, its events and key frames."""
    from neurosono.scripts.console import console, write_json_report
    from neurosono.scripts.exams_view import tabulate_record
    from neurosono.scripts.replay_view import describe
    from neurosono.stream.journal.describe import describe_record
    from neurosono.stream.report.gather import resolve_exam

    with open_recorded(journal) as opened, opened.read() as reader:
        record = describe_record(reader, resolve_exam(reader, exam))
    unknown = {
        key: "-" if record["frames"][key] is None else record["frames"][key]
        for key in ("decoded", "dropped")
    }
    title = f"exam {record['exam']}, {record['condition']}"
    console.print(describe(record | {"source": title, "frames": record["frames"] | unknown}))
    console.print(tabulate_record(record))
    write_json_report(json, record)


@exams_app.command()
def export(
    exam: ExamArgument,
    out: Annotated[Path, typer.Option(help="The file; its ending says the format.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="json, csv or parquet, if not by the ending.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Put the kept pictures into the JSON.")
    ] = False,
    journal: JournalOption = None,
) -> None:
    """Write one exam as JSON, CSV or Parquet."""
    from neurosono.scripts.console import console
    from neurosono.stream.journal.export import export_exam
    from neurosono.stream.report.gather import resolve_exam

    with open_recorded(journal) as opened:
        with opened.read() as reader:
            exam = resolve_exam(reader, exam)
        export_exam(opened, exam, out, kind or out.suffix.lstrip(".").lower(), pictures=pictures)
    console.print(f"  {out}", soft_wrap=True)


@exams_app.command()
def delete(exam: ExamArgument, yes: YesOption = False, journal: JournalOption = None) -> None:
    """Delete one exam wholly, its pictures and films too; what was stored is overwritten."""
    from neurosono.stream.report.gather import resolve_exam

    with open_recorded(journal) as opened:
        with opened.read() as reader:
            exam_id = reader.exam(resolve_exam(reader, exam)).exam_id
        _ask(f"delete exam {exam_id} for good?", yes)
        _delete(opened, [exam_id])


@exams_app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="An age: 12h, 30d, 8w.")],
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    journal: JournalOption = None,
    json: JsonOption = None,
) -> None:
    """Delete every exam that ended longer ago than this; never one that runs."""
    import time

    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.journal.retention import find_older, parse_age

    age_ns = parse_age(older_than)
    with open_recorded(journal) as opened:
        old = [exam.exam_id for exam in find_older(opened, age_ns, time.time_ns())]
        for exam_id in old:
            console.print(f"  {exam_id}")
        if old and not dry_run:
            _ask(f"delete these {len(old)} exams for good?", yes)
            _delete(opened, old)
    if not old:
        console.print(f"no exam is older than {older_than}")
    write_json_report(json, {"older_than": older_than, "dry_run": dry_run, "exams": old})


@exams_app.command()
def replay(
    exam: ExamArgument,
    bundle: Annotated[
        str | None, typer.Option(help="Check this bundle too: a folder, or `demo`.")
    ] = None,
    student: Annotated[
        str | None, typer.Option(help="Check the student beside that bundle too.")
    ] = None,
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    journal: JournalOption = None,
    json: JsonOption = None,
) -> None:
    """Compute an exam again from its record; exit code 1 unless every bit comes out the same."""
    from dataclasses import asdict

    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console, write_json_report
    from neurosono.scripts.exams_view import tabulate_verdict
    from neurosono.stream.journal.rebuild import verify_exam
    from neurosono.stream.report.gather import resolve_exam

    if student is not None and bundle is None:
        raise InputError("--student stands beside its --bundle: name that too")
    loaded = options.load_given(bundle, require_signed, trusted_keys)
    beside = options.load_given(student, require_signed, trusted_keys)
    with open_recorded(journal) as opened:
        with opened.read() as reader:
            exam = resolve_exam(reader, exam)
        verdict = verify_exam(opened, exam, loaded, beside)
    console.print(tabulate_verdict(verdict))
    write_json_report(json, {**asdict(verdict), "equal": verdict.equal})
    if not verdict.equal:
        raise typer.Exit(1)


def open_recorded(path: Path | None) -> "Journal":
    """Open the journal at `path`, or the user's own; raises `InputError` where there is none."""
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console
    from neurosono.stream.journal.journal import Journal
    from neurosono.stream.journal.schema import default_path

    where = path or default_path()
    if not where.exists():
        raise InputError(f"no journal at {where}: nothing has been recorded there yet")
    journal = Journal.open(where)
    for left in journal.unread:
        console.print(f"left, and cannot be read: entries in {left}", soft_wrap=True)
    return journal


def _ask(question: str, yes: bool) -> None:
    import sys

    from neurosono.engine.contracts.errors import InputError

    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("nobody is there to be asked: say --yes")
    typer.confirm(question, abort=True, err=True)


def _delete(journal: "Journal", exam_ids: list[str]) -> None:
    from neurosono.scripts.console import console
    from neurosono.stream.hospital.forget import forget_exams
    from neurosono.stream.journal.retention import delete_exams
    from neurosono.stream.keep.clips import delete_clips
    from neurosono.stream.keep.recording import delete_recordings

    done = delete_exams(journal, exam_ids)
    delete_clips(journal.path, done.exam_ids)
    delete_recordings(journal.path, done.exam_ids)
    forget_exams(journal.path, done.exam_ids)
    console.print(f"deleted {len(done.exam_ids)} exam{'s' if len(done.exam_ids) > 1 else ''}")
    if not done.scrubbed:
        console.print("a running exam still holds the log: delete or prune again once it has ended")
