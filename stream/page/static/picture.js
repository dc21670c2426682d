// The picture: decodes off the main thread, paints the newest, and acknowledges what was painted.

export class Picture {
  // `acknowledge(head, painted)`; `ageOf(head, about, now)` in ms; pictures older than `staleMs` are not
  // painted: after sleep they would pass for live.
  constructor(canvas, inset, acknowledge, ageOf) {
    this.canvas = canvas;
    this.inset = inset;
    this.context = canvas.getContext("2d", { alpha: false });
    this.insetContext = inset.getContext("2d", { alpha: false });
    this.acknowledge = acknowledge;
    this.ageOf = ageOf;
    this.staleMs = 1000;
    this.frozen = false;
    this.next = null;
    this.shown = null; // what is on the canvas: { index, seq, pts_s }
    this.livePaint = null; // age and time of the newest live paint
    this.worstMs = 0;
  }

  async take(head, about, jpeg) {
    let bitmap = null;
    try {
      bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    } catch {
      return this.acknowledge(head, false);
    }
    if (this.next) {
      if (this.next.head.n > head.n) {
        bitmap.close();
        return this.acknowledge(head, false);
      }
      this.next.bitmap.close();
      this.acknowledge(this.next.head, false);
    } else {
      requestAnimationFrame(() => this.paint());
    }
    this.next = { head, about, bitmap };
  }

  paint() {
    const { head, about, bitmap } = this.next;
    this.next = null;
    const nowMs = performance.now();
    const ageMs = this.ageOf(head, about, nowMs);
    const fresh = ageMs <= this.staleMs + (about.age_ms ?? 0);
    if (fresh) {
      if (!this.frozen) {
        draw(this.canvas, this.context, bitmap);
        this.shown = { index: about.index, seq: about.seq, pts_s: about.pts_s };
      } else {
        drawSmall(this.inset, this.insetContext, bitmap);
      }
      this.livePaint = { ageMs, atMs: nowMs, index: about.index };
      this.worstMs = Math.max(this.worstMs, ageMs);
    }
    bitmap.close();
    this.acknowledge(head, fresh);
  }

  // The age to show: the worst since it was last asked for; counts on while no picture comes.
  readAge(nowMs) {
    if (!this.livePaint) return null;
    const idleMs = nowMs - this.livePaint.atMs;
    const worstMs = Math.max(this.worstMs, this.livePaint.ageMs + (idleMs > 250 ? idleMs : 0));
    this.worstMs = 0;
    return worstMs;
  }

  freeze(frozen) {
    this.frozen = frozen;
    if (frozen) drawSmall(this.inset, this.insetContext, this.canvas);
  }
}

export function draw(canvas, context, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  context.drawImage(image, 0, 0);
}

function drawSmall(canvas, context, image) {
  const scale = Math.min(1, 320 / image.width);
  const width = Math.round(image.width * scale);
  const height = Math.round(image.height * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.drawImage(image, 0, 0, width, height);
}
