"""The report's later sections: optimism, subgroups, readers, worst exams."""

from html import escape
from typing import Any

from neurosono.training.report import plots
from neurosono.training.report.markup import (
    Raw,
    set_bounds,
    set_p,
    set_percent,
    set_section,
    set_share,
    set_soft,
    set_table,
)
from neurosono.training.report.pictures import FramePictures

SPLITS = {
    "trimester": ("By trimester (completed weeks)", "without gestational weeks"),
    "twenty_weeks": ("By the 20-week cut", "without gestational weeks"),
    "site": ("By site", "without a site"),
}
TESTS = {
    "correctness_p": "right and wrong exams, Fisher's exact test",
    "probability_p": "probability given to the truth",
}
WHO = {
    "reader": "reader alone",
    "system": "system alone",
    "either": "either is right (upper bound)",
    "second_read": "system as second read",
}


def set_optimism(optimism: dict[str, Any] | None) -> str:
    """Return what the published protocol adds by choosing checkpoints on held-out patients."""
    if optimism is None:
        return ""
    rows = [
        (
            f"accuracy of {level}",
            set_share(optimism[level]["nested"]),
            set_share(optimism[level]["paper"]),
            _set_points(optimism[level]["nested_minus_paper"]),
        )
        for level in ("exams", "frames")
    ]
    heads = ("", "nested selection", "the paper's selection", "nested minus paper")
    return set_section(
        "Optimism of the published protocol",
        set_table(heads, rows),
        set_soft(
            "The paper keeps the checkpoint that does best on the very patients that it then "
            "reports. Nested selection chooses on others. Difference in points, both ways on the "
            f"same {optimism['patients']} patients, which are drawn together."
        ),
    )


def _set_points(interval: dict[str, Any]) -> Raw:
    if interval["value"] is None:
        return Raw("-")
    value, low, high = (f"{100 * interval[key]:+.1f}" for key in ("value", "low", "high"))
    return Raw(f"{value} <small>({low} to {high})</small>")


def set_subgroups(subgroups: dict[str, Any], published: dict[str, Any]) -> str:
    """Return each split: a table, a plot, its tests."""
    parts = [_set_split(name, split, published) for name, split in subgroups.items()]
    return set_section("Subgroups", *parts)


def _set_split(name: str, split: dict[str, Any], published: dict[str, Any]) -> str:
    title, without = SPLITS[name]
    groups, left_out = split["groups"], split["exams_without"]
    rest = f" {left_out} exams {without} are in no group." if left_out else ""
    if not groups:
        return f"<h3>{title}</h3>{set_soft(f'Not possible: no exam is recorded with it.{rest}')}"
    heads = ("", "patients", "exams", "exam accuracy", "Wilson", "frame accuracy", "p of the truth")
    rows = [
        (
            group["name"],
            group["patients"],
            group["exams"],
            set_share(group["exam_accuracy"]),
            set_bounds(group["exam_accuracy_wilson"]),
            set_share(group["frame_accuracy"]),
            f"{group['true_probability']:.3f}",
        )
        for group in groups
    ]
    said = _set_tests(split["tests"], len(groups)) + rest
    if name == "twenty_weeks":
        said += f" The paper reports p = {published['twenty_week_p']:.2f}, on probabilities."
    shares = [{"name": each["name"], "share": each["exam_accuracy_wilson"]} for each in groups]
    plot = plots.draw_groups(shares, title) if len(groups) > 1 else ""
    return (
        f"<h3>{title}</h3>{set_table(heads, rows)}"
        f'<div class="one">{plot}</div>{set_soft(said.strip())}'
    )


def _set_tests(tests: dict[str, float] | None, groups: int) -> str:
    if tests is None:
        return "One group only: nothing to compare."
    kind = "Mann and Whitney" if groups == 2 else "Kruskal and Wallis"
    said = [
        f"{TESTS[name]}{f' ({kind})' if name == 'probability_p' else ''}: {set_p(value)}"
        for name, value in tests.items()
    ]
    return f"Between the groups: {'; '.join(said)}."


def set_readers(study: dict[str, Any] | None, labels: list[str]) -> str:
    """Return the reader study: for each reader a table, a plot and McNemar's tests."""
    if study is None:
        return ""
    parts = [_set_reader(reader, labels) for reader in study["readers"]]
    return set_section(
        "Readers, the system, and both",
        set_soft(
            "Share of exams recognised, with Wilson's 95 % interval, on the exams that the reader "
            "read. The paper combines reader and system without saying how. Here: either is right "
            "(nobody could act on it without knowing the truth: an upper bound, which can only "
            "gain); and the system as second read, whose answer replaces a reader's normal or "
            "none: it can also do harm. Tests are not corrected for their number."
        ),
        *parts,
    )


def _set_reader(reader: dict[str, Any], labels: list[str]) -> str:
    recognition = reader["recognition"]
    rows = [
        (name, *(set_share(recognition[who]["classes"][name]) for who in WHO)) for name in labels
    ]
    rows.append(("all", *(set_share(recognition[who]["all"]) for who in WHO)))
    tests = [
        (
            f"reader and {WHO[name.removeprefix('reader_and_')]}",
            test["only_first_right"],
            test["only_second_right"],
            set_p(test["p"]),
        )
        for name, test in reader["mcnemar"].items()
    ]
    heads = ("McNemar, exact", "only the reader right", "only the other right", "")
    return (
        f"<h3>{escape(reader['reader'])}: {reader['exams']} exams</h3>"
        f"{set_table(('class', *WHO.values()), rows)}"
        f'<div class="one">{plots.draw_readers(reader, labels, WHO)}</div>'
        f"{set_table(heads, tests)}"
    )


def set_worst(worst: list[dict[str, Any]], pictures: dict[int, FramePictures]) -> str:
    """Return the worst exams, with frames and heatmaps where there are pictures."""
    wrong = sum(each["wrong"] for each in worst)
    said = (
        f"{wrong} of these were judged wrong; surest of the wrong class first."
        if wrong
        else "No exam was judged wrong; these gave the truth least."
    )
    said += (
        " A heatmap says what moved the model, not where an anomaly lies."
        if pictures
        else " No pictures: no frame cache was at hand."
    )
    return set_section(
        "Worst exams", set_soft(said), *(_set_exam(each, pictures) for each in worst)
    )


def _set_exam(exam: dict[str, Any], pictures: dict[int, FramePictures]) -> str:
    given = exam["probabilities"]
    verb = "judged" if exam["wrong"] else "judged right, next"
    frames = "".join(
        _set_frame(frame, exam, pictures[frame["row"]])
        for frame in exam["frames"]
        if frame["row"] in pictures
    )
    return (
        f'<div class="exam{" wrong" if exam["wrong"] else ""}"><p><b>{escape(exam["exam"])}</b>: '
        f"truth {escape(exam['truth'])} {set_percent(given[exam['truth']])}, {verb} "
        f"<b>{escape(exam['rival'])} {set_percent(given[exam['rival']])}</b>, "
        f'{exam["frame_count"]} frames</p><div class="frames">{frames}</div></div>'
    )


def _set_frame(frame: dict[str, Any], exam: dict[str, Any], shown: FramePictures) -> str:
    given = frame["probabilities"]
    trio = (
        ("frame", shown.plain),
        (f"{exam['rival']} {set_percent(given[exam['rival']])}", shown.rival),
        (f"{exam['truth']} {set_percent(given[exam['truth']])}", shown.truth),
    )
    tiles = "".join(
        f'<div><img alt="{escape(name)}" src="{source}">{escape(name)}</div>'
        for name, source in trio
    )
    blind = (
        "" if shown.unseen else ". Maps of the whole ensemble, which was trained on this patient"
    )
    return (
        f'<figure><div class="three">{tiles}</div>'
        f"<figcaption>frame {frame['row']} of the cache{blind}</figcaption></figure>"
    )
