// Wires the page together: messages in, one look at the clock ten times a second, keys out.

import { Bars } from "./bars.js";
import { Clock } from "./clock.js";
import { Evidence, Kept } from "./frames.js";
import { Fuse } from "./fuse.js";
import { Heatmap } from "./heatmap.js";
import { Keys } from "./keys.js";
import { KIND, Link } from "./link.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Readings } from "./readings.js";
import { Review } from "./review.js";
import { judge } from "./standing.js";
import { duration } from "./words.js";
import { Worklist } from "./worklist.js";

const LOOK_MS = 50; // how often the page asks itself whether what it shows is still true
const READ_MS = 250; // how often a number changes that a person reads
const TOAST_MS = 2500;

const byId = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.lateMs = 500; // the greeting says it anew
    this.status = null;
    this.madeMs = -Infinity; // when the session published it, on its clock
    this.choice = { aiHidden: false, heatmapHidden: false };
    this.readOnly = false;
    this.clock = new Clock();
    this.panel = new Panel(byId);
    this.bars = new Bars(byId("bars"));
    this.fuse = new Fuse([byId("state-lit"), byId("unjudged"), byId("alarm"), byId("planes")]);
    const ageOf = (head, about, nowMs) => (about.age_ms ?? 0) + this.clock.sincePublished(head, nowMs);
    this.picture = new Picture(byId("picture"), byId("live"), (head, painted) => this.link.acknowledge(head, painted), ageOf);
    this.heatmap = new Heatmap(byId, ageOf);
    this.readings = new Readings(byId, ageOf);
    this.evidence = new Evidence(byId);
    this.kept = new Kept(byId);
    this.kept.onSelect = () => this.review();
    this.reviewing = new Review(byId("review"), (...verdict) => this.decide(...verdict));
    this.worklist = new Worklist(byId, (name, fields) => this.ask(name, fields));
    this.keys = new Keys(byId("keys"), this.actions());
    this.keys.dialogs = [byId("help"), byId("closer")];
    for (const dialog of this.keys.dialogs) dialog.addEventListener("click", () => dialog.close());
    this.readMs = -Infinity;
    this.link = new Link((...message) => this.hear(...message), () => this.look());
    setInterval(() => this.look(), LOOK_MS);
    // a hidden page's timers sleep: it must not wake with an old opinion on its face
    document.addEventListener("visibilitychange", () => (document.hidden ? this.goDark() : this.look()));
    this.look();
  }

  actions() {
    return {
      freeze: () => this.freeze(!this.picture.frozen),
      heatmap: () => this.choose("heatmapHidden"),
      boxes: () => this.readings.enlarge(),
      hide: () => this.choose("aiHidden", "hide-ai", "show-ai"),
      keep: () => this.keep(),
      new: () => this.ask("new-exam"),
      end: () => this.ask("end-exam"),
      review: () => this.review(),
      worklist: () => this.worklist.open(),
      help: () => byId("help").showModal(),
      previous: () => this.kept.move(-1),
      following: () => this.kept.move(1),
      may: () => !this.refuse(),
      say: (words) => this.toast(words),
      capture: (event) => this.steer(event),
    };
  }

  hear(kind, head, about, jpeg) {
    const nowMs = performance.now();
    if (head.hello) return this.greet(head.hello);
    this.clock.hear(head, nowMs);
    if (kind === KIND.picture) this.picture.take(head, about, jpeg);
    else this.link.acknowledge(head);
    if (kind === KIND.picture || kind === KIND.status) this.learn(head, about);
    else if (kind === KIND.heatmap) this.heatmap.take(head, about, jpeg, this.bars.labels);
    else if (kind === KIND.worklist) this.worklist.take(about);
    else if (kind === KIND.reading) this.readings.take(head, about, jpeg);
    else if (this.isOfThisExam(about)) (kind === KIND.evidence ? this.evidence : this.kept).take(about, jpeg);
  }

  isOfThisExam(about) {
    return !this.status || about.exam === null || about.exam === this.status.exam;
  }

  greet(hello) {
    this.lateMs = hello.late_ms;
    this.heatmap.lifeMs = hello.late_ms;
    this.readings.lifeMs = hello.late_ms;
    this.panel.skipWords = hello.skip_words;
    this.panel.planeWords = hello.plane_words;
    this.panel.planeFrames = hello.plane_frames;
    this.panel.planeCaution = hello.plane_caution;
    this.readOnly = hello.read_only;
    this.clock = new Clock(); // another session has another clock
    this.madeMs = -Infinity;
    if (this.status?.over) this.status = null;
    document.body.classList.toggle("read-only", this.readOnly);
    this.name(hello.labels);
    this.evidence.clear();
    this.kept.clear();
    this.worklist.forget();
  }

  name(labels) {
    const readings = this.bars.name(labels);
    if (!readings) return;
    this.fuse = new Fuse([byId("state-lit"), byId("unjudged"), byId("alarm"), byId("planes"), ...readings]);
    this.evidence.name(labels);
  }

  learn(head, status) {
    const madeMs = head.sent_ms - head.held_ms;
    if (madeMs < this.madeMs) return; // a picture that was encoded while a newer status overtook it
    this.madeMs = madeMs;
    if (this.status && status.exam !== this.status.exam) {
      this.evidence.clear();
      this.kept.clear();
      this.reviewing.cancel();
    }
    this.status = status;
    if (status.labels) this.name(status.labels);
    this.lookSoon();
  }

  // Once before the next paint, however many messages came: more looks than paints nobody sees.
  lookSoon() {
    if (this.looking) return;
    this.looking = true;
    requestAnimationFrame(() => {
      this.looking = false;
      this.look();
    });
  }

  silentMs(nowMs) {
    return this.status ? Math.max(0, nowMs + this.clock.offsetMs - this.madeMs) : Infinity;
  }

  // Shows what is true now, and nothing else. Called after every status and by the page's own timer.
  look(nowMs = performance.now()) {
    const silentMs = this.silentMs(nowMs);
    const standing = judge(this.status, silentMs, this.lateMs, this.choice);
    this.standing = standing;
    this.panel.showStanding(standing, silentMs);
    this.panel.showExam(this.status, standing);
    this.panel.showFrames(standing.lost ? null : this.status);
    this.bars.show(standing.lit ? this.status : null);
    if (standing.over && standing.lit) this.fuse.hold();
    else if (standing.lit) this.fuse.relight(Math.max(1, standing.leftMs), nowMs);
    else this.fuse.cut();
    this.heatmap.allow(standing.heat);
    this.heatmap.refresh(nowMs);
    this.readings.show(standing.lost || standing.hidden ? null : this.status, standing, this.lateMs - silentMs, nowMs);
    this.showWithheld(standing);
    this.showStage(standing, silentMs, nowMs);
    if (nowMs - this.readMs > READ_MS) this.showNumbers(standing, nowMs);
  }

  showWithheld(standing) {
    document.body.classList.toggle("hidden-ai", standing.hidden);
    document.body.classList.toggle("hidden-heat", this.choice.heatmapHidden);
    const [title, rest] = sayWhyBlank(standing);
    this.panel.write("hidden-title", title);
    this.panel.write("hidden-rest", rest);
    byId("evidence-instead").hidden = standing.lit;
    this.panel.write("evidence-instead", standing.hidden ? "hidden" : "none is shown while the AI is not on");
    this.panel.write("heat-instead", this.choice.heatmapHidden && !standing.hidden ? "hidden: H shows it" : "no heatmap");
    this.kept.hideOpinion(standing.hidden, standing.lit);
    this.keys.press_state("hide", this.choice.aiHidden, this.choice.aiHidden ? "Show AI" : "Hide AI");
    this.keys.press_state("heatmap", this.choice.heatmapHidden, this.choice.heatmapHidden ? "Show map" : "Heatmap");
  }

  showStage(standing, silentMs, nowMs) {
    const title = standing.lost ? "CONNECTION LOST" : standing.noSignal ? "NO SIGNAL" : standing.over ? "EXAM ENDED" : "";
    byId("curtain").hidden = !title;
    this.panel.write("curtain-title", title);
    this.panel.write("curtain-words", standing.over ? "this picture is not live" : standing.lost ? `this picture is not live${silentMs < 1000 ? "" : ` · silent for ${Math.floor(silentMs / 1000)} s`}` : standing.reason);
    document.body.classList.toggle("curtained", Boolean(title));
    byId("chip-scanner").hidden = !(this.status?.frozen_by_scanner && !title);
    const paint = this.picture.livePaint;
    const ageMs = paint ? paint.ageMs + nowMs - paint.atMs : 0;
    byId("chip-late").hidden = Boolean(title) || !this.status || ageMs < 2 * this.lateMs;
    this.panel.write("chip-late", `picture ${duration(Math.floor(ageMs / 100) * 100)} old`);
  }

  showNumbers(standing, nowMs) {
    this.readMs = nowMs;
    const ageMs = standing.noSignal || standing.lost || standing.over ? null : this.picture.readAge(nowMs);
    this.panel.showAge(ageMs, ageMs !== null && ageMs > 200); // 200 ms is the most that hands tolerate
    this.panel.write("mode", sayWho(this.status));
  }

  goDark() {
    this.bars.show(null);
    this.heatmap.allow(false);
    this.readings.show(null, {}, 0, performance.now());
    this.fuse.cut();
  }

  choose(name, hiding, showing) {
    this.choice[name] = !this.choice[name];
    if (hiding) this.tell(this.choice[name] ? hiding : showing);
    this.look();
  }

  freeze(frozen) {
    if (frozen && !this.picture.shown) return;
    this.picture.freeze(frozen);
    byId("frozen").hidden = byId("inset").hidden = !frozen;
    document.body.classList.toggle("frozen", frozen);
    this.keys.press_state("freeze", frozen, frozen ? "Live" : "Freeze");
    const { index } = this.picture.shown;
    this.tell(frozen ? "freeze" : "unfreeze", frozen && Number.isInteger(index) ? { index } : {});
  }

  keep() {
    const { index, seq } = this.picture.shown ?? {};
    if (index === undefined || this.refuse()) return;
    this.ask("keep", Number.isInteger(seq) ? { index, seq } : { index });
    byId("stage").classList.add("flash");
    setTimeout(() => byId("stage").classList.remove("flash"), 200);
    this.toast("Frame kept");
  }

  review() {
    const frame = this.kept.get();
    if (!frame) return this.toast("No kept frame: K keeps one");
    if (this.standing.hidden) return this.toast("The AI is hidden: show it to review what it proposes");
    if (!this.refuse()) this.reviewing.next(frame, this.bars.labels);
  }

  decide(id, verdict, label) {
    this.ask("review", label ? { key_frame_id: id, verdict, label } : { key_frame_id: id, verdict });
  }

  steer(event) {
    if (this.worklist.shown) return this.worklist.steer(event);
    if (!this.reviewing.open) return false;
    const step = { ArrowDown: 1, ArrowUp: -1, r: 1, R: 1 }[event.key];
    if (step) this.reviewing.step(step);
    else if (event.key === "Enter") this.reviewing.take();
    else if (event.key === "Escape") this.reviewing.cancel();
    return true;
  }

  refuse() {
    if (this.readOnly) this.toast("This screen may watch only");
    return this.readOnly;
  }

  // For the record only: the page has done it already.
  tell(name, fields = {}) {
    if (!this.readOnly) this.link.command(name, fields);
  }

  ask(name, fields = {}) {
    if (!this.refuse() && !this.link.command(name, fields)) this.toast("Not connected: nothing was done");
  }

  toast(words) {
    this.panel.write("toast", words);
    byId("toast").hidden = false;
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => (byId("toast").hidden = true), TOAST_MS);
  }
}

function sayWhyBlank(standing) {
  if (standing.blind) return ["Second read", "The AI stays hidden until you end the exam (E)."];
  if (standing.hidden) return ["AI hidden", "A shows it again."];
  return ["No AI result", "Judge by the picture alone."];
}

function sayWho(status) {
  const screens = status?.viewers;
  const many = typeof screens === "number" && screens > 1 ? `${screens} screens · ` : "";
  return many + (status?.mode ?? "");
}

window.page = new Page();
