// State of the AI, state of the exam, and what became of the frames.

import { clockTime, readable, STATE_WORDS } from "./words.js";

const SIGNS = { "AI ON": "on", "AI OFF": "off", "AI STARTING": "starting", "NO SIGNAL": "no-signal", "EXAM ENDED": "over" };

const CARRIER_NEWS_MS = 10000;

export class Panel {
  constructor(byId) {
    this.byId = byId;
    this.skipWords = {};
    this.planeWords = {};
    this.planeFrames = 1;
    this.planeCaution = "";
    this.shown = new Map();
  }

  // Writes only what changed: most of it stays the same from picture to picture.
  write(id, text) {
    if (this.shown.get(id) === text) return;
    this.shown.set(id, text);
    this.byId(id).textContent = text;
  }

  showStanding(standing, silentMs) {
    document.body.dataset.ai = SIGNS[standing.ai] ?? "off";
    document.body.classList.toggle("lost", standing.lost);
    document.body.classList.toggle("lit", standing.lit);
    this.write("ai", standing.ai);
    this.write("reason", standing.lost ? `connection lost, silent for ${(silentMs / 1000).toFixed(1)} s` : standing.reason);
  }

  showAge(ageMs, late) {
    this.write("age-ms", ageMs === null ? "–" : ageMs > 9999 ? ">9999" : String(Math.round(ageMs)));
    this.byId("age").classList.toggle("late", late);
  }

  showExam(status, standing) {
    const known = standing.lit && status.state;
    const stated = known ? STATE_WORDS[status.state]?.(status.prediction_set ?? [], status.leaning) ?? "" : "";
    // Where nothing is said of the classes, their place says why, in full.
    const unlike = known && status.state === "unfamiliar" ? `${readable(stated)}. ` : "";
    const unjudged = unlike + ((known && status.nothing_used) || "");
    this.byId("unjudged").hidden = !unjudged;
    this.write("unjudged", unjudged);
    this.write("state-none", known ? "" : standing.hidden ? "hidden" : "no result");
    this.write("state-name", known ? status.state : "");
    this.write("state-words", unjudged ? "" : stated);
    this.byId("state").dataset.state = known ? status.state : "none";
    this.byId("alarm").hidden = !(standing.lit && status.alarm);
    this.showCarrier(standing.lit ? status.carried_by : null);
    this.showPlanes(standing.lit ? status.planes : null);
    this.showRecording(standing.lost ? null : status?.recording);
    this.showRecord(standing.lost ? null : status?.record);
    this.byId("chip-source").hidden = standing.lost || !status?.source_note;
    this.write("chip-source", status?.source_note ?? "");
    this.write("exam-words", status?.ended ? "Exam ended" : `Exam ${status?.exam ?? "so far"}`);
    if (status && !standing.lost) this.write("clock", clockTime(status.pts_s ?? 0));
  }

  // Whose result this is, student's or ensemble's; a change stands out for as long as it is news.
  showCarrier(told) {
    const line = this.byId("carrier");
    line.hidden = !told;
    if (!told) return;
    const before = this.carrier;
    if (before && before !== told.carrier) this.carrierNewUntil = performance.now() + CARRIER_NEWS_MS;
    this.carrier = told.carrier;
    const news = performance.now() < (this.carrierNewUntil ?? 0);
    line.classList.toggle("news", news);
    this.write("carrier", `${news ? "now carried by " : "carried by "}${told.words}`);
  }

  // Only where a gate named any: a filled mark and a count for a plane that was seen.
  showPlanes(planes) {
    const named = Object.keys(planes ?? {}).length > 0;
    this.byId("planes").hidden = !named;
    const words = JSON.stringify(named ? planes : null);
    if (!named || this.shown.get("planes") === words) return;
    this.shown.set("planes", words);
    const chips = Object.entries(this.planeWords).map(([plane, word]) => {
      const chip = document.createElement("span");
      const seen = (planes[plane] ?? 0) >= this.planeFrames;
      chip.className = seen ? "plane seen" : "plane";
      chip.textContent = `${seen ? "✓" : "○"} ${word}`;
      chip.title = `${plane}: ${planes[plane] ?? 0} used frames`;
      return chip;
    });
    this.byId("planes-seen").replaceChildren(...chips);
    this.write("planes-caution", this.planeCaution);
  }

  showRecording(told) {
    const chip = this.byId("recording");
    chip.hidden = !told;
    if (!told) return;
    chip.classList.toggle("alarm", !told.on);
    const left = told.dropped ? `, ${told.dropped} left out` : "";
    this.write("recording", told.on ? `● recording ${told.film}${left}` : `✕ ${told.reason}`);
  }

  // What is shown and not recorded is said over the picture itself.
  showRecord(told) {
    this.byId("record-off").hidden = !told || told.on;
    this.write("record-why", told?.reason ?? "");
  }

  showFrames(status) {
    const frames = status?.frames ?? {};
    const skipped = Object.entries(frames.skipped ?? {}).filter(([, count]) => count > 0);
    const total = skipped.reduce((sum, [, count]) => sum + count, 0);
    // what the ensemble's frames are worth is not what the used ones are
    const worth = status?.carried_by?.carrier === "ensemble" ? null : status?.effective_frames;
    this.write("worth", typeof worth === "number" ? `, worth ${Math.round(worth)}` : "");
    for (const name of ["used", "sampled", "dropped"]) this.write(name, count(frames[name]));
    this.write("skipped", status ? count(total) : "–");
    this.byId("dropped").classList.toggle("some", frames.dropped > 0);
    skipped.sort((a, b) => b[1] - a[1]);
    this.write("why", skipped.map(([reason, n]) => `${this.inWords(reason)} ${count(n)}`).join(" · "));
    const skip = status?.skip_reason;
    this.byId("now").hidden = !skip;
    this.write("now", skip ? `skipped: ${this.inWords(skip)}` : "");
  }

  inWords(reason) {
    return this.skipWords[reason] ?? reason.replaceAll("-", " ");
  }
}

function count(number) {
  return typeof number === "number" ? number.toLocaleString("en").replaceAll(",", "\u202f") : "–";
}
