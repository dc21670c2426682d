// What bundles beside the first read: their rows, and what was found on a frame, over that frame alone.

import { Fuse } from "./fuse.js";

const FADE_FROM = 0.35;
const OPEN_FROM_PX = 1000;
const FACE = "system-ui, sans-serif";

export class Readings {
  constructor(byId, ageOf) {
    this.byId = byId;
    this.ageOf = ageOf;
    this.list = byId("readings");
    this.canvas = byId("found-canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.rows = new Map();
    this.lifeMs = 500;
    this.now = null;
    this.lit = new Set();
  }

  // `status` is null where nothing may be shown; each reader is on, late or off by itself.
  show(status, standing, leftMs, nowMs) {
    const readings = status?.readings ?? {};
    const names = Object.keys(readings);
    this.lit = new Set(names.filter((name) => readings[name].ai === "AI ON"));
    document.body.classList.toggle("reads", names.length > 0 || this.rows.size > 0);
    this.list.hidden = this.byId("found").hidden = names.length === 0 && this.rows.size === 0;
    document.querySelector('[data-do="boxes"]').hidden = this.list.hidden;
    for (const name of names) this.row(name);
    for (const [name, row] of this.rows) this.showRow(row, name, readings[name], standing, leftMs, nowMs);
    if (this.now && this.now.reader !== this.chosen()) this.clear();
    this.refresh(nowMs);
  }

  // Whose frames are shown: the first whose row is open. Frames of several in turn would flicker.
  chosen() {
    for (const [name, row] of this.rows) if (row.details.open && this.lit.has(name)) return name;
    return null;
  }

  row(name) {
    if (this.rows.has(name)) return;
    const details = document.createElement("details");
    // Folded it says its first line: on a low screen all rows stay in sight beside the first one.
    details.open = this.rows.size === 0 || innerHeight >= OPEN_FROM_PX;
    details.innerHTML = '<summary><strong></strong><em></em><span></span></summary><div class="told"></div>';
    this.list.append(details);
    const [told, first] = [details.querySelector(".told"), details.querySelector("em")];
    this.rows.set(name, { details, told, first, fuse: new Fuse([told, first]), words: "" });
    details.querySelector("strong").textContent = name;
  }

  showRow(row, name, reading, standing, leftMs, nowMs) {
    const on = reading?.ai === "AI ON";
    row.details.dataset.ai = on ? "on" : "off";
    const why = standing.hidden ? "hidden" : reading ? `${reading.ai}${reading.reason ? `: ${reading.reason}` : ""}` : "AI OFF";
    row.details.querySelector("summary span").textContent = on ? "" : why;
    if (!on) {
      row.fuse.cut();
      row.told.replaceChildren();
      row.first.textContent = "";
      row.words = "";
      return;
    }
    const words = JSON.stringify(reading.told);
    if (row.words !== words) {
      row.words = words;
      row.told.replaceChildren(...reading.told.lines.map(line), marks(reading.told.marks));
      row.first.textContent = reading.told.lines[0] ?? "";
    }
    if (standing.over) row.fuse.hold();
    else row.fuse.relight(Math.max(1, leftMs), nowMs);
  }

  async take(head, about, jpeg) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })).catch(() => null);
    if (!bitmap) return;
    const nowMs = performance.now();
    const ageMs = this.ageOf(head, about, nowMs);
    if (about.reader === this.chosen() && !(this.now && about.seq < this.now.seq) && ageMs < this.lifeMs) {
      this.now = { bornMs: nowMs - ageMs, seq: about.seq, reader: about.reader, about };
      this.paint(bitmap, about);
      this.fade(ageMs);
      this.refresh(nowMs);
    }
    bitmap.close();
  }

  // Letters and lines are of the screen's own size, so the canvas has the pixels that it is shown at.
  paint(bitmap, about) {
    const well = this.byId("found-well").getBoundingClientRect();
    const dense = devicePixelRatio || 1;
    const grow = Math.min((well.width * dense) / bitmap.width, (well.height * dense) / bitmap.height) || 1;
    this.canvas.width = Math.max(4, Math.round(bitmap.width * grow));
    this.canvas.height = Math.max(3, Math.round(bitmap.height * grow));
    const [context, [x, y, w]] = [this.context, about.region_px ?? [0, 0, bitmap.width]];
    context.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    const scale = this.canvas.width / w;
    const style = getComputedStyle(document.documentElement);
    const colour = (place) => style.getPropertyValue(`--class-${place}`).trim() || "#fff";
    context.lineWidth = Math.max(1.5, 1.6 * dense);
    const head = about.frame?.head;
    if (head) {
      context.strokeStyle = colour(7);
      context.beginPath();
      context.ellipse((head.cx - x) * scale, (head.cy - y) * scale, head.a * scale, head.b * scale, (head.angle_deg * Math.PI) / 180, 0, 2 * Math.PI);
      context.stroke();
    }
    const size = Math.round(Math.max(11, Math.min(16, well.width / 22)) * dense);
    context.font = `600 ${size}px ${FACE}`;
    context.textBaseline = "bottom";
    const taken = [];
    const order = [...new Set((about.frame?.boxes ?? []).map((box) => box.label))].sort();
    for (const box of best(about.frame?.boxes ?? [])) {
      const place = order.indexOf(box.label) % 7;
      outline(context, box, x, y, scale, colour(place), box.unproven);
      label(context, box, x, y, scale, colour(place), size, taken, this.canvas);
    }
    const plane = about.frame?.plane;
    const unproven = best(about.frame?.boxes ?? []).some((box) => box.unproven);
    this.byId("found-label").textContent = `${this.rows.size > 1 ? `${about.reader}: ` : ""}${plane ? plane.replaceAll("-", " ") : "no plane"}${unproven ? " · * unproven" : ""}`;
  }

  fade(ageMs) {
    this.fading?.cancel();
    const frames = [{ opacity: 1 }, { opacity: 1, offset: FADE_FROM }, { opacity: 0 }];
    this.fading = this.canvas.animate(frames, { duration: this.lifeMs, fill: "forwards" });
    this.fading.currentTime = ageMs;
  }

  refresh(nowMs) {
    if (!this.now) return;
    const ageMs = nowMs - this.now.bornMs;
    if (ageMs >= this.lifeMs) return this.clear();
    this.byId("found-age").textContent = `${Math.round(ageMs)} ms old`;
    this.byId("found-instead").hidden = true;
  }

  clear() {
    this.now = null;
    this.fading?.finish();
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.byId("found-age").textContent = "";
    this.byId("found-label").textContent = "";
    this.byId("found-instead").hidden = false;
  }

  enlarge() {
    document.body.classList.toggle("enlarged");
  }
}

// Of each name the surest box; two of a ventricle would hide each other's letters.
function best(boxes) {
  const found = new Map();
  for (const box of boxes) if (!found.has(box.label) || found.get(box.label).score < box.score) found.set(box.label, box);
  return [...found.values()];
}

function outline(context, box, x, y, scale, colour, unproven) {
  context.save();
  context.translate((box.cx - x) * scale, (box.cy - y) * scale);
  context.rotate((box.angle_deg * Math.PI) / 180);
  context.strokeStyle = colour;
  context.setLineDash(unproven ? [5, 4] : []);
  context.strokeRect((-box.w * scale) / 2, (-box.h * scale) / 2, box.w * scale, box.h * scale);
  context.restore();
}

// Its name stands beside the box, moved down where another stands already.
function label(context, box, x, y, scale, colour, size, taken, canvas) {
  const words = box.label.replaceAll("-", " ") + (box.unproven ? " *" : "");
  const width = context.measureText(words).width + 6;
  const left = Math.min(Math.max(0, (box.cx - x) * scale - width / 2), canvas.width - width);
  let top = Math.max(0, (box.cy - y - box.h / 2) * scale - size - 4);
  while (taken.some((one) => left < one.right && left + width > one.left && top < one.bottom && top + size > one.top)) top += size + 2;
  top = Math.min(top, canvas.height - size - 2);
  taken.push({ left, right: left + width, top, bottom: top + size + 2 });
  context.fillStyle = "rgba(0,0,0,0.65)";
  context.fillRect(left, top, width, size + 2);
  context.fillStyle = colour;
  context.fillText(words, left + 3, top + size + 1);
}

function line(words) {
  const one = document.createElement("p");
  one.textContent = one.title = words;
  return one;
}

function marks(listed) {
  const all = document.createElement("p");
  all.className = "marks";
  all.append(
    ...listed.map((mark) => {
      const one = document.createElement("span");
      one.className = mark.seen ? "plane seen" : "plane";
      one.textContent = `${mark.seen ? "✓" : "○"} ${mark.name.replaceAll("-", " ")}${mark.unproven ? " *" : ""}`;
      one.title = `${mark.frames} frames${mark.unproven ? ", learnt on phantoms: unproven" : ""}`;
      return one;
    }),
  );
  return all;
}
