// The frames that moved the exam most, one place a class, and those that were kept.

import { draw } from "./picture.js";
import { clockTime, percentage, readable } from "./words.js";

const VERDICTS = {
  proposed: ["?", "proposed"],
  accepted: ["✓", "accepted"],
  rejected: ["✕", "rejected"],
  reassigned: ["→", "reassigned"],
};

async function decode(jpeg) {
  return createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })).catch(() => null);
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function thumbnail(bitmap) {
  const canvas = document.createElement("canvas");
  draw(canvas, canvas.getContext("2d", { alpha: false }), bitmap);
  return canvas;
}

export class Evidence {
  constructor(byId) {
    this.cells = byId("evidence-cells");
    this.closer = byId("closer");
    this.labels = [];
    this.frames = new Map(); // label -> rank -> { about, canvas }
  }

  name(labels) {
    this.labels = labels;
    this.render();
  }

  async take(about, jpeg) {
    const bitmap = await decode(jpeg);
    if (!bitmap) return;
    const ranks = this.frames.get(about.label) ?? new Map();
    ranks.set(about.rank, { about, canvas: thumbnail(bitmap) });
    this.frames.set(about.label, ranks);
    bitmap.close();
    this.render();
  }

  clear() {
    this.frames.clear();
    if (this.closer.open) this.closer.close();
    this.render();
  }

  render() {
    this.cells.replaceChildren(...this.labels.map((label, place) => this.renderCell(label, place)));
  }

  renderCell(label, place) {
    const best = this.ranked(label)[0];
    const stripe = element("i", `stripe class-${place % 8}`);
    const caption = element("figcaption", "", element("span", "", readable(label)));
    const picture = best ? best.canvas : element("div", "empty", "–");
    const cell = element("figure", "cell", picture, stripe, caption);
    if (best) {
      cell.tabIndex = 0;
      cell.setAttribute("role", "button");
      cell.onclick = () => this.enlarge(label);
      cell.onkeydown = (event) => event.key === "Enter" && this.enlarge(label);
    }
    return cell;
  }

  ranked(label) {
    return [...(this.frames.get(label) ?? new Map()).entries()]
      .sort((a, b) => a[0] - b[0])
      .map(([, frame]) => frame);
  }

  enlarge(label) {
    this.closer.querySelector("h2").textContent = `Evidence for ${readable(label)}`;
    const figures = this.ranked(label).map(({ about, canvas }) => {
      const copy = document.createElement("canvas");
      draw(copy, copy.getContext("2d", { alpha: false }), canvas);
      const words = [];
      if (typeof about.pts_s === "number") words.push(clockTime(about.pts_s));
      if (typeof about.probability === "number") words.push(percentage(about.probability));
      return element("figure", "", copy, element("figcaption", "", words.join(" · ")));
    });
    this.closer.querySelector("div").replaceChildren(...figures);
    this.closer.showModal();
  }
}

export class Kept {
  constructor(byId) {
    this.cells = byId("kept-cells");
    this.count = byId("kept-count");
    this.instead = byId("kept-instead");
    this.frames = new Map(); // id -> { about, canvas }
    this.selected = null;
    this.hidden = this.lit = null;
    this.onSelect = () => {};
  }

  async take(about, jpeg) {
    const bitmap = await decode(jpeg);
    if (!bitmap) return;
    const fresh = !this.frames.has(about.key_frame_id);
    this.frames.set(about.key_frame_id, { about, canvas: thumbnail(bitmap) });
    bitmap.close();
    if (fresh) this.selected = about.key_frame_id;
    this.render(fresh);
  }

  get(id = this.selected) {
    return this.frames.get(id)?.about ?? null;
  }

  move(step) {
    const ids = [...this.frames.keys()];
    if (!ids.length) return;
    const place = Math.min(ids.length - 1, Math.max(0, ids.indexOf(this.selected) + step));
    this.select(ids[place]);
  }

  select(id) {
    this.selected = id;
    this.render(true);
  }

  // Without a living AI its proposals lose their labels; what a person decided stays.
  hideOpinion(hidden, lit) {
    if (hidden === this.hidden && lit === this.lit) return;
    this.hidden = hidden;
    this.lit = lit;
    this.render(false);
  }

  labelOf({ label, verdict }) {
    const decided = verdict === "accepted" || verdict === "reassigned";
    return label && !this.hidden && (this.lit || decided) ? readable(label) : "";
  }

  clear() {
    this.frames.clear();
    this.selected = null;
    this.render(false);
  }

  render(reveal) {
    this.cells.replaceChildren(...[...this.frames].map(([id, frame]) => this.renderCell(id, frame)));
    this.count.textContent = this.frames.size ? String(this.frames.size) : "";
    this.instead.hidden = this.frames.size > 0;
    if (reveal) this.cells.querySelector(".selected")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  renderCell(id, { about, canvas }) {
    const [mark, word] = VERDICTS[about.verdict] ?? VERDICTS.proposed;
    const by = about.verdict === "proposed" && about.kept_by === "key" ? "kept" : word;
    const caption = element("figcaption", "", element("span", "", this.labelOf(about)));
    const badge = element("b", "mark", `${mark} ${by}`);
    const cell = element("figure", `cell verdict-${about.verdict ?? "proposed"}`, canvas, badge, caption);
    cell.classList.toggle("selected", id === this.selected);
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-selected", String(id === this.selected));
    cell.onclick = () => (id === this.selected ? this.onSelect(id) : this.select(id));
    return cell;
  }
}
