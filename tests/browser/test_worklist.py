"""Whose exam it is, on the page: the day's entries, the choice, and whether the study arrived."""

from collections.abc import Mapping
from typing import Any

from tests.browser.screen import Screen

ENTRIES = [
    {"accession": "A-1", "step": "S1", "name": "Größe, Änne", "id": "P-1", "born": "1990-01-02",
     "at": "09:00", "what": "Fetal brain"},
    {"accession": "A-2", "step": "", "name": "Wang, XiaoDong = 王, 小东", "id": "P-2", "born": "",
     "at": "10:15", "what": "<b>Fetal</b> brain"},
    {"accession": "", "step": "S3", "name": "Nobody, Numbers", "id": "", "born": "", "at": "",
     "what": ""},
]  # fmt: skip


def tell(screen: Screen, **changes: Any) -> Mapping[str, Any]:
    about = {
        "exam": "20260314-0917",
        "asks": False,
        "entries": ENTRIES,
        "said": "",
        "taken": None,
        "study": {"standing": "none", "words": ""},
    } | changes
    screen.hub.publish_worklist(about)
    return about


def test_a_session_without_a_worklist_offers_none(screen: Screen) -> None:
    screen.open()
    assert not screen.visible('[data-do="worklist"], #patient, #study-words')
    screen.page.keyboard.press("w")
    assert not screen.visible("#worklist")


def test_an_entry_is_chosen_by_keys_and_named_beside_the_exam(
    screen: Screen, tmp_path: Any
) -> None:
    tell(screen, entries=None)
    screen.open()
    screen.await_words("#patient", "nobody's")
    screen.page.keyboard.press("w")
    assert screen.await_command("worklist").fields.keys() == {"viewer"}
    tell(screen)
    screen.await_words("#worklist", "Größe, Änne · born 1990-01-02 · A-1")
    assert "<b>Fetal</b> brain" in screen.words("#worklist"), "words, not markup"
    assert "cannot be taken" in screen.words("#worklist li:last-child")
    screen.shoot(tmp_path, "worklist")
    screen.page.keyboard.press("ArrowDown")
    screen.await_words("#worklist .chosen", "王, 小东")
    screen.page.keyboard.press("Enter")
    fields = screen.await_command("take").fields
    assert (fields["accession"], fields.get("step")) == ("A-2", None)
    assert not screen.visible("#worklist")
    tell(screen, taken=ENTRIES[1])
    screen.await_words("#patient", "王, 小东 · A-2")
    words = "study of exam 20260314-0917: not stored yet (PACS is not there); tried again at 10:32"
    tell(screen, study={"standing": "waiting", "words": words})
    screen.await_words("#study-words", words)
    screen.await_words("#patient", "nobody's")
    screen.shoot(tmp_path, "study")


def test_a_worklist_that_fails_says_so(screen: Screen) -> None:
    tell(screen, entries=None, said="WORKLIST at 10.0.0.5:104 is not there")
    screen.open()
    screen.page.keyboard.press("w")
    screen.await_words("#worklist-said", "is not there")
    screen.page.keyboard.press("Escape")
    assert not screen.visible("#worklist")
    tell(screen, entries=[])
    screen.page.keyboard.press("w")
    screen.await_words("#worklist-said", "nothing is scheduled today")
