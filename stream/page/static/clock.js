// Tells how old things are although the session's clock is not ours.
//
// Every acknowledgement carries our time; the session sends it back with how long it held it. The
// sample with the shortest way there and back gives the distance of the two clocks to within half
// of that way, so a picture that waited in a buffer is known to be late.

const KEPT_MS = 10000; // clocks drift apart by far less than a millisecond in that time

export class Clock {
  constructor() {
    this.samples = [];
    this.offsetMs = null; // session's clock minus ours
  }

  hear(head, nowMs) {
    if (!head.echo) {
      this.offsetMs ??= head.sent_ms - nowMs;
      return;
    }
    const wayMs = Math.max(0, nowMs - head.echo.t_ms - head.echo.held_ms);
    this.samples = this.samples.filter((one) => nowMs - one.atMs < KEPT_MS);
    this.samples.push({ wayMs, atMs: nowMs, offsetMs: head.sent_ms - (nowMs - wayMs / 2) });
    this.offsetMs = this.samples.reduce((a, b) => (b.wayMs < a.wayMs ? b : a)).offsetMs;
  }

  // How long ago the session published what this message holds.
  sincePublished(head, nowMs) {
    return Math.max(0, nowMs + this.offsetMs - (head.sent_ms - head.held_ms));
  }
}
