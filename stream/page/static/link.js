// The connection to the session: takes messages apart, acknowledges them, and opens itself again.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2000;
const STALLED_MS = 5000; // a socket that says nothing for so long is dead, whatever TCP believes

export const KIND = { picture: 1, heatmap: 2, evidence: 3, status: 4, keyFrame: 5, reading: 6, worklist: 7 };

export class Link {
  // `hear(kind, head, about, jpeg)` gets every message; `changed(open)` every opening and closing.
  constructor(hear, changed) {
    this.hear = hear;
    this.changed = changed;
    this.waitMs = FIRST_WAIT_MS;
    this.open = false;
    this.heardMs = 0;
    this.connect();
    setInterval(() => this.checkStalled(), 1000);
    addEventListener("pagehide", () => this.socket?.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  connect() {
    const address = new URL("ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.socket === socket && this.take(event.data);
    socket.onclose = () => this.socket === socket && this.again();
    this.socket = socket;
    this.heardMs = performance.now();
  }

  take(buffer) {
    this.heardMs = performance.now();
    this.waitMs = FIRST_WAIT_MS;
    if (!this.open) this.changed((this.open = true));
    const view = new DataView(buffer);
    const length = view.getUint32(1, true);
    const text = new TextDecoder().decode(new Uint8Array(buffer, 5, length));
    const head = JSON.parse(text);
    this.hear(view.getUint8(0), head, head.about, buffer.slice(5 + length));
  }

  again() {
    this.open = false;
    this.changed(false);
    setTimeout(() => this.connect(), this.waitMs);
    this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
  }

  checkStalled() {
    if (document.hidden || performance.now() - this.heardMs < STALLED_MS) return;
    const dead = this.socket;
    this.socket = null;
    dead?.close();
    this.again();
  }

  acknowledge(head, painted = false) {
    this.send({ ack: head.n, t_ms: performance.now(), painted });
  }

  command(name, fields = {}) {
    return this.send({ command: name, fields });
  }

  send(answer) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(answer));
    return true;
  }
}
