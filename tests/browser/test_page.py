"""The page in a real browser, with a session that follows a script.

Screenshots of every state lie in the test's temporary folder, at both sizes, for a person to see.
"""

from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from neurosono.stream.page.web import WebServer
from neurosono.stream.view.viewer import SECOND_SENDER
from tests.browser.publisher import make_status
from tests.browser.screen import WAIT_MS


def test_a_living_ai_is_shown_whole(screen, tmp_path):
    screen.open()
    screen.hub.publish_status(make_status(0))
    screen.publisher.show_evidence()
    screen.publisher.show_key_frame(1, "accepted")
    screen.page.wait_for_selector("#kept .cell")
    screen.await_true("document.querySelectorAll('#evidence canvas').length === 3")
    screen.page.wait_for_selector("#well.lit")
    rows = screen.page.locator(".row").all()
    assert len(rows) == 5
    assert rows[2].inner_text().split() == ["Holoprosencephaly", "in", "set", "64%"]
    assert rows[2].get_attribute("class").split()[-1] == "winner"
    assert screen.page.locator(".row.in-set").count() == 2
    box = rows[2].locator(".track").bounding_box()
    fill, whisker = (rows[2].locator(one).bounding_box() for one in (".fill", ".whisker"))
    assert fill["width"] / box["width"] == pytest.approx(0.64, abs=0.01)
    assert (whisker["x"] - box["x"]) / box["width"] == pytest.approx(0.51, abs=0.01)
    assert whisker["width"] / box["width"] == pytest.approx(0.25, abs=0.01)
    assert screen.words("#state-name") == "ambiguous"
    assert "near-duplicate 391 · frozen 62 · Doppler 31" in screen.words("#why")
    assert "not for diagnosis" in screen.words("#notice")
    assert 41 <= int(screen.words("#age-ms")) < 2000
    screen.shoot(tmp_path, "on")


def test_the_heatmap_stands_beside_the_picture_and_is_gone_in_time(screen):
    screen.open()
    screen.page.wait_for_selector("#well.lit")
    picture, well = (screen.page.locator(one).bounding_box() for one in ("#stage", "#well"))
    assert well["x"] >= picture["x"] + picture["width"]
    screen.publisher.heatmaps = False
    aged = screen.page.evaluate("""() => new Promise((done) => {
      const seen = [];
      const look = () => {
        const age = parseInt(document.getElementById("heat-age").textContent);
        const opacity = parseFloat(getComputedStyle(document.getElementById("heatmap")).opacity);
        if (Number.isFinite(age)) seen.push([age, opacity]);
        else return done(seen);
        requestAnimationFrame(look);
      };
      look();
    })""")
    assert max(age for age, _ in aged) <= 500  # said in whole milliseconds
    old = [opacity for age, opacity in aged if age > 400]
    assert all(opacity < 0.45 for opacity in old)
    assert not screen.visible("#well canvas")


@pytest.mark.parametrize("ai", ["AI OFF", "AI STARTING", "NO SIGNAL"])
def test_without_a_living_ai_there_is_no_bar_and_no_word_of_normal(screen, tmp_path, ai):
    screen.open()
    screen.page.wait_for_selector("#well.lit")
    screen.publisher.show_key_frame(1, "proposed", "normal")
    screen.publisher.changes = {"ai": ai, "ai_reason": "the reason why"}
    screen.publisher.pictures = ai != "NO SIGNAL"
    screen.await_words("#ai", ai)
    for opinion in (".fill", ".value", ".tag", "#state-lit", "#legend", "#evidence-cells"):
        assert not screen.visible(opinion), opinion
    assert not screen.visible("#well canvas")
    assert screen.words("#reason") == "the reason why"
    seen = screen.page.evaluate("document.body.innerText").lower()
    assert "normal" not in seen
    assert "not for diagnosis" in seen
    assert screen.visible("#curtain") == (ai == "NO SIGNAL")
    screen.shoot(tmp_path, ai.lower().replace(" ", "-"))


def test_an_old_opinion_is_dark_however_fresh_the_word(screen):
    screen.open()
    assert screen.visible(".fill")
    screen.publisher.changes = {"opinion_age_ms": 501.0}
    screen.await_words("#ai", "AI OFF")
    assert "s old" in screen.words("#reason")
    for opinion in (".fill", ".value", ".tag", "#state-lit", "#evidence-cells"):
        assert not screen.visible(opinion), opinion
    assert not screen.visible("#well canvas")
    screen.publisher.changes = {"opinion_age_ms": 60.0}
    screen.await_words("#ai", "AI ON")
    assert screen.visible(".fill")


def test_what_is_shown_and_not_recorded_is_said_over_the_picture(screen, tmp_path):
    screen.open()
    assert not screen.visible("#record-off")
    screen.publisher.changes = {"record": {"on": False, "reason": "put it back"}}
    screen.await_words("#record-off", "RECORD OFF")
    assert "put it back" in screen.words("#record-off")
    screen.shoot(tmp_path, "record-off")
    screen.publisher.changes = {"record": {"on": True, "reason": ""}}
    screen.await_true("document.getElementById('record-off').hidden")


def test_another_sender_on_the_port_is_said(screen):
    screen.open()
    assert not screen.visible("#chip-source")
    screen.publisher.changes = {"source_note": SECOND_SENDER}
    screen.await_words("#chip-source", "another device sends to this port")
    screen.publisher.changes = {"source_note": ""}
    screen.await_true("document.getElementById('chip-source').hidden")


BLANKED = """() => new Promise((done) => {
  const begun = performance.now();
  const look = () => {
    const gone = document.getElementById("ai").textContent === "AI OFF";
    gone ? done(performance.now() - begun) : setTimeout(look, 5);
  };
  look();
})"""


def test_silence_blanks_the_page_by_its_own_clock(screen, tmp_path):
    screen.open()
    screen.publisher.silent = True
    took_ms = screen.page.evaluate(BLANKED)
    assert took_ms < 700  # 500 ms since the last status, a look at the clock, a slow machine
    assert screen.words("#curtain-title") == "CONNECTION LOST"
    assert not screen.visible(".fill, .value, #state-lit, #well canvas")
    assert "normal" not in screen.page.evaluate("document.body.innerText").lower()
    screen.shoot(tmp_path, "lost")
    screen.publisher.silent = False
    screen.await_words("#ai", "AI ON")
    assert screen.visible(".fill")


def test_a_dead_server_blanks_the_page_and_a_new_one_is_found(screen):
    screen.open()
    screen.server.stop()
    screen.await_words("#curtain-title", "CONNECTION LOST")
    assert screen.words("#ai") == "AI OFF"
    address = urlsplit(screen.url)
    token = address.query.removeprefix("token=")
    again = WebServer(screen.hub, port=address.port or 0, token=token)
    again.start()
    try:
        screen.await_words("#ai", "AI ON")
        assert screen.visible(".fill")
    finally:
        again.stop()


def test_a_page_whose_timers_are_stuck_burns_out_by_itself(screen):
    screen.open()
    assert screen.visible(".reading")
    screen.page.evaluate("for (let id = 0; id < 10000; id++) clearInterval(id)")
    screen.publisher.silent = True
    faded = """() => [...document.querySelectorAll(".reading, #state-lit, #heatmap")]
        .every((one) => getComputedStyle(one).opacity < 0.01)"""
    screen.page.wait_for_function(faded, timeout=WAIT_MS, polling=50)
    assert screen.words("#ai") == "AI ON"  # nothing of the page ran: the fuse alone did it


def test_a_hidden_page_wakes_without_an_opinion(screen):
    screen.open()
    dark = """() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
      return [...document.querySelectorAll(".value")].map((one) => one.textContent).join("");
    }"""
    assert screen.page.evaluate(dark) == ""


def test_second_read_keeps_the_opinion_from_the_page_until_the_exam_ends(screen, tmp_path):
    screen.publisher.changes = {"mode": "second-read"}
    screen.open()
    screen.publisher.show_evidence()
    assert screen.words("#hidden-title") == "Second read"
    assert not screen.visible(".fill, .value, #state-lit, #well canvas, #evidence canvas")
    assert screen.page.evaluate("page.status.probabilities") is None
    screen.shoot(tmp_path, "second-read")
    screen.page.keyboard.press("e")
    assert "Press E again" in screen.words("#toast")
    assert screen.hub.commands() == []
    screen.page.keyboard.press("e")
    screen.await_command("end-exam")
    screen.publisher.changes = {"mode": "second-read", "ended": True}
    screen.page.wait_for_selector("#evidence canvas")
    assert screen.visible(".fill")


def test_space_freezes_the_picture_and_live_goes_on_beneath(screen, tmp_path):
    screen.open()
    screen.page.keyboard.press(" ")
    frozen = screen.page.evaluate("[page.picture.shown.index, page.picture.livePaint.index]")
    command = screen.await_command("freeze")
    assert command.fields["index"] == frozen[0]
    live = f"page.picture.livePaint.index > {frozen[1]} + 5"
    screen.await_true(live)
    assert screen.page.evaluate("page.picture.shown.index") == frozen[0]
    assert screen.words("#frozen strong") == "FROZEN"
    assert screen.visible("#inset")
    screen.shoot(tmp_path, "frozen")
    screen.page.keyboard.press("k")
    assert screen.await_command("keep").fields["index"] == frozen[0]
    screen.page.keyboard.press(" ")
    screen.await_command("unfreeze")
    screen.await_true(f"page.picture.shown.index > {frozen[0]} + 5")


def test_h_hides_the_heatmap_and_a_hides_all_of_the_ai(screen, tmp_path):
    screen.open()
    screen.page.wait_for_selector("#well.lit")
    screen.page.keyboard.press("h")
    assert not screen.visible("#well canvas")
    assert screen.visible(".fill")
    screen.page.keyboard.press("A")
    assert not screen.visible(".fill, .value, #state-lit, #evidence-cells")
    assert screen.words("#ai") == "AI ON"
    assert screen.visible("#age-ms")
    screen.await_command("hide-ai")
    screen.shoot(tmp_path, "hidden")
    screen.page.click("[data-do=hide]")
    screen.await_command("show-ai")
    assert screen.visible(".fill")


def test_a_new_exam_asks_for_a_second_press_and_clears_what_was_kept(screen):
    screen.open()
    screen.publisher.show_key_frame(1)
    screen.page.wait_for_selector("#kept .cell")
    screen.page.keyboard.press("n")
    screen.page.keyboard.press("k")  # another key takes it back
    screen.page.keyboard.press("n")
    screen.await_command("keep")
    assert "new-exam" not in [command.name for command in screen.asked]
    screen.page.click("[data-do=new]")
    screen.await_command("new-exam")
    screen.publisher.changes = {"exam": "another"}
    screen.await_true("!document.querySelector('#kept .cell')")


WALK = """() => {
  const press = (key) => window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const said = [1, 2, 3].map(() => {
    press("r");
    return document.querySelector("#review .chosen").innerText;
  });
  press("Enter");
  return said;
}"""


def test_r_walks_through_the_verdicts_of_the_selected_frame(screen, tmp_path):
    screen.open()
    for number, label in ((1, "normal"), (2, "encephalocele")):
        screen.publisher.show_key_frame(number, "proposed", label)
        screen.await_true(f"document.querySelectorAll('#kept .cell').length === {number}")
    screen.page.keyboard.press("ArrowLeft")
    # at once: a choice left alone is taken, and a busy machine may leave it alone between two keys
    said = screen.page.evaluate(WALK)
    assert [said[0], said[2]] == ["✓ Accept as normal", "→ Reassign to anencephaly"]
    fields = screen.await_command("review").fields
    assert (fields["key_frame_id"], fields["verdict"]) == ("k1", "reassign")
    assert fields["label"] == "anencephaly"
    screen.publisher.show_key_frame(1, "reassigned", "anencephaly")
    screen.page.wait_for_selector(".verdict-reassigned:first-child")
    assert "Anencephaly" in screen.words(".verdict-reassigned")
    screen.page.keyboard.press("r")
    screen.shoot(tmp_path, "review")


def test_the_keys_are_explained_and_big_enough_for_fingers(screen, tmp_path):
    screen.open()
    screen.page.keyboard.press("?")
    assert "freeze this page" in screen.words("#help")
    screen.shoot(tmp_path, "keys")
    screen.page.keyboard.press("x")
    assert not screen.visible("#help")
    for button in screen.page.locator("#keys button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 48


def test_a_slow_page_gets_fewer_pictures_and_says_how_old_they_are(screen, tmp_path):
    screen.open()
    before = screen.hub.counts.encoded
    screen.page.evaluate("""setInterval(() => {
      const until = performance.now() + 120;
      while (performance.now() < until);
    }, 180)""")
    mailbox = screen.hub.mailboxes()[0]
    while screen.hub.counts.encoded <= before + 60:
        screen.page.wait_for_timeout(100)
    assert mailbox.replaced > 3  # more on an idle machine, where pictures come faster
    assert int(screen.words("#age-ms").strip(">")) > 41
    screen.shoot(tmp_path, "slow")


def test_text_stands_out_from_its_ground(screen):
    screen.open()
    faint = screen.page.evaluate(CONTRAST)
    assert faint == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [0, 0, 0];
  };
  const seen = [...document.querySelectorAll("body *")].filter((one) =>
    [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) &&
    one.checkVisibility({ opacityProperty: true, visibilityProperty: true }));
  return seen.map((one) => {
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))];
    return [one.id || one.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  }).filter(([, ratio]) => ratio < 4.5);
}"""


ENDED = {"ended": True, "over": True}


def test_an_ended_session_leaves_its_final_result_and_says_so(screen, tmp_path):
    screen.open()
    screen.publisher.show_evidence()
    screen.publisher.changes = ENDED | {"alarm": True}
    screen.await_words("#ai", "EXAM ENDED")
    screen.publisher.silent = True
    screen.server.stop()
    screen.page.wait_for_timeout(1500)  # longer than any word of a living session stays lit
    assert screen.words("#ai") == "EXAM ENDED"
    assert screen.words("#curtain-title") == "EXAM ENDED"
    assert "not live" in screen.words("#curtain-words")
    assert "CONNECTION LOST" not in screen.page.evaluate("document.body.innerText")
    assert screen.visible(".fill")
    assert screen.visible("#evidence canvas")
    assert not screen.words("#age-ms").isdigit()
    assert not screen.visible("#well canvas")
    screen.shoot(tmp_path, "ended")


def test_an_exam_that_ended_without_ai_shows_no_opinion(screen):
    screen.open()
    screen.publisher.changes = ENDED | {"ai": "AI OFF", "ai_reason": "the engine died"}
    screen.await_words("#ai", "EXAM ENDED")
    assert not screen.visible(".fill, .value, #state-lit, #alarm")
    assert "off at its end" in screen.words("#reason")


def test_a_second_read_is_revealed_by_the_end(screen):
    screen.publisher.changes = {"mode": "second-read"}
    screen.open()
    screen.publisher.show_evidence()
    assert not screen.visible(".fill")
    screen.publisher.changes = {"mode": "second-read"} | ENDED
    screen.page.wait_for_selector("#evidence canvas")
    screen.await_words("#ai", "EXAM ENDED")
    assert screen.visible(".fill")


PLANES = {"transthalamic": 40, "spine-sagittal": 3, "transcerebellar": 1, "other": 7}


def test_planes_are_listed_once_a_gate_names_them(screen, tmp_path):
    screen.open()
    assert not screen.visible("#planes")
    screen.publisher.changes = {"planes": PLANES, "alarm": True}
    screen.page.wait_for_selector("#planes .plane.seen")
    assert screen.words("#planes-seen").split() == [
        *("✓", "thalami", "○", "ventricles", "○", "cerebellum", "✓", "spine"),
    ]
    assert "learnt on phantoms" in screen.words("#planes")
    assert screen.visible("#alarm")
    assert screen.visible("#alarm svg")
    screen.shoot(tmp_path, "planes")
    screen.publisher.changes = {"planes": PLANES, "alarm": True, "ai": "AI OFF"}
    screen.await_words("#ai", "AI OFF")
    assert not screen.visible("#planes, #alarm")


def test_a_recording_is_shown_and_its_end_too(screen):
    screen.open()
    assert not screen.visible("#recording")
    told = {"film": "clean", "on": True, "reason": "", "dropped": 2}
    screen.publisher.changes = {"recording": told}
    screen.await_words("#recording", "● recording clean, 2 left out")
    screen.publisher.changes = {"recording": told | {"on": False, "reason": "recording stopped: x"}}
    screen.await_words("#recording", "✕ recording stopped: x")


NOTHING_USED = (
    "Nothing was judged: of 1 240 sampled frames none could be used (901 unfamiliar to model, "
    "212 frozen, 64 near-duplicate, 40 Doppler, 23 not ultrasound)."
)
READ_IN_FULL = """() => {
  const place = document.getElementById("unjudged");
  const range = document.createRange();
  range.selectNodeContents(place);
  const [words, room] = [range.getBoundingClientRect(), place.getBoundingClientRect()];
  return words.top >= room.top && words.bottom <= room.bottom && words.right <= room.right;
}"""


def test_an_unfamiliar_exam_says_why_in_full_where_the_classes_stand(screen, tmp_path):
    screen.open()
    assert not screen.visible("#unjudged")
    silent = {"probabilities": None, "low": None, "high": None, "prediction_set": []}
    unfamiliar = {"state": "unfamiliar", "nothing_used": NOTHING_USED, **silent}
    screen.publisher.changes = unfamiliar
    screen.await_words("#unjudged", "Unlike what the model was trained on")
    assert NOTHING_USED in screen.words("#unjudged")
    screen.shoot(tmp_path, "unfamiliar")
    for width, height in ((1920, 1080), (1024, 768), (640, 480)):
        screen.page.set_viewport_size({"width": width, "height": height})
        assert screen.page.evaluate(READ_IN_FULL), f"{width}x{height}"
    screen.publisher.changes = {**unfamiliar, "ai": "AI OFF"}
    screen.await_words("#ai", "AI OFF")
    assert not screen.visible("#unjudged")


def test_on_a_narrow_screen_no_key_runs_into_the_next(screen, tmp_path):
    screen.open()
    screen.page.set_viewport_size({"width": 640, "height": 480})
    boxes = [key.bounding_box() for key in screen.page.locator("#keys kbd:visible").all()]
    assert len(boxes) >= 8
    for left, right in pairwise(boxes):
        assert left["x"] + left["width"] <= right["x"]
    screen.page.screenshot(path=tmp_path / "narrow.png")
