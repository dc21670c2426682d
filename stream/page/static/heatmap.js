// The heatmap beside the picture: over its own frame, with its age, fading, and gone in time.

import { draw } from "./picture.js";
import { readable } from "./words.js";

const FADE_FROM = 0.35; // it stands clear for a third of its life, then fades: still to be read

export class Heatmap {
  constructor(byId, ageOf) {
    this.canvas = byId("heatmap");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.well = byId("well");
    this.instead = byId("heat-instead");
    this.ageLine = byId("heat-age");
    this.label = byId("heat-label");
    this.ageOf = ageOf;
    this.lifeMs = 500;
    this.now = null;
    this.fading = null;
    this.allowed = false;
  }

  async take(head, about, jpeg, places) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })).catch(() => null);
    if (!bitmap) return;
    const nowMs = performance.now();
    const ageMs = this.ageOf(head, about, nowMs);
    const older = this.now && about.seq < this.now.seq;
    if (this.allowed && !older && ageMs < this.lifeMs) {
      draw(this.canvas, this.context, bitmap);
      this.now = { bornMs: nowMs - ageMs, seq: about.seq };
      this.name(about.label, places.indexOf(about.label));
      this.fade(ageMs);
      this.refresh(nowMs);
    }
    bitmap.close();
  }

  name(label, place) {
    const swatch = document.createElement("i");
    swatch.className = `swatch filled class-${place < 0 ? 7 : place % 8}`;
    this.label.replaceChildren(swatch, readable(label));
  }

  // The compositor fades it, so it goes even while scripts are stuck.
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
    this.ageLine.textContent = `${Math.round(ageMs)} ms old`;
    this.instead.hidden = true;
    this.well.classList.add("lit");
  }

  allow(allowed) {
    this.allowed = allowed;
    if (!allowed) this.clear();
  }

  clear() {
    if (!this.now && this.ageLine.textContent === "") return;
    this.now = null;
    this.fading?.finish();
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.ageLine.textContent = "";
    this.label.replaceChildren();
    this.instead.hidden = false;
    this.well.classList.remove("lit");
  }
}
