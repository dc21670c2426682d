// Accept, reject or reassign a kept frame: R goes to the next choice, Enter or a tap takes it.

import { readable } from "./words.js";

const SETTLE_MS = 1600; // a choice left alone for so long is meant

export class Review {
  constructor(dialog, decide) {
    this.dialog = dialog;
    this.list = dialog.querySelector("ul");
    this.decide = decide;
    this.choices = [];
    this.place = 0;
    this.timer = null;
    dialog.addEventListener("close", () => clearTimeout(this.timer));
    dialog.addEventListener("cancel", () => clearTimeout(this.timer));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  get open() {
    return this.dialog.open;
  }

  // Open for `frame`, or go on to the next choice if it is open for it already.
  next(frame, labels) {
    if (this.open) {
      this.place = (this.place + 1) % this.choices.length;
    } else {
      this.frame = frame;
      this.choices = makeChoices(frame, labels);
      this.place = this.after(frame.verdict);
      this.dialog.showModal();
    }
    this.render();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.take(), SETTLE_MS);
  }

  // The first press offers what comes after the present verdict.
  after(verdict) {
    const place = this.choices.findIndex((choice) => choice.verdict === "reject");
    return verdict === "accepted" ? place : 0;
  }

  step(by) {
    this.place = (this.place + by + this.choices.length) % this.choices.length;
    this.render();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.take(), SETTLE_MS);
  }

  take() {
    if (!this.open) return;
    const { verdict, label } = this.choices[this.place];
    this.dialog.close();
    this.decide(this.frame.key_frame_id, verdict, label);
  }

  cancel() {
    if (this.open) this.dialog.close();
  }

  render() {
    this.list.replaceChildren(
      ...this.choices.map((choice, place) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = choice.words;
        button.className = `verdict-${choice.verdict}`;
        button.tabIndex = -1;
        item.classList.toggle("chosen", place === this.place);
        button.onclick = () => {
          this.place = place;
          this.take();
        };
        item.append(button);
        return item;
      }),
    );
  }
}

function makeChoices(frame, labels) {
  const others = labels.filter((label) => label !== frame.label);
  const name = frame.label ? ` as ${readable(frame.label).toLowerCase()}` : "";
  return [
    ...(frame.label ? [{ verdict: "accept", words: `✓ Accept${name}` }] : []),
    { verdict: "reject", words: "✕ Reject" },
    ...others.map((label) => ({
      verdict: "reassign",
      label,
      words: `→ ${frame.label ? "Reassign to" : "Assign to"} ${readable(label).toLowerCase()}`,
    })),
  ];
}
