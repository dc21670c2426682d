// A dead man's switch: what the AI says fades out by itself unless every status keeps it lit.
//
// The browser's compositor runs this animation, so it burns down even while scripts are stuck: a
// page that hangs shows no opinion rather than an old one.

export class Fuse {
  constructor(elements) {
    this.elements = elements;
    this.burning = [];
    this.until = 0;
  }

  // Keep the elements visible for `ms` more.
  relight(ms, nowMs = performance.now()) {
    if (nowMs + ms < this.until + ms / 5) return; // relit moments ago: spare the compositor
    this.until = nowMs + ms;
    if (!this.burning.length) {
      this.burning = this.elements.map((element) =>
        element.animate(
          [{ opacity: 1 }, { opacity: 1, offset: 0.98 }, { opacity: 0 }],
          { duration: ms, fill: "forwards" },
        ),
      );
    }
    for (const one of this.burning) {
      one.effect.updateTiming({ duration: ms });
      one.currentTime = 0;
      one.play();
    }
  }

  // Lit for good: a result that is final, said to be so, does not grow old.
  hold() {
    for (const one of this.burning) one.cancel();
    this.burning = [];
    this.until = 0;
  }

  // Out at once.
  cut() {
    for (const one of this.burning) one.finish();
    this.until = 0;
  }
}
