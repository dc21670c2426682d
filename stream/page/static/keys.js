// Keys and their buttons; what cannot be undone asks for a second press.

const BY_KEY = {
  " ": "freeze", h: "heatmap", a: "hide", k: "keep", n: "new", r: "review", e: "end",
  b: "boxes", w: "worklist", "?": "help", arrowleft: "previous", arrowright: "following",
};
const CONFIRM_MS = 3000;
const ASK = { new: "to begin a new exam", end: "to end this exam" };

export class Keys {
  constructor(nav, actions) {
    this.nav = nav;
    this.actions = actions;
    this.armed = null;
    this.timer = null;
    this.dialogs = [];
    addEventListener("keydown", (event) => this.press(event));
    for (const button of nav.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        button.blur(); // or space would press it again
        this.perform(button.dataset.do);
      });
    }
  }

  press(event) {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = this.dialogs.find((dialog) => dialog.open);
    if (open) {
      open.close();
      event.preventDefault();
      return;
    }
    if (this.actions.capture?.(event)) return event.preventDefault();
    const name = BY_KEY[event.key.toLowerCase()];
    if (!name) return;
    event.preventDefault();
    this.perform(name);
  }

  perform(name) {
    if (name in ASK && this.armed !== name) return this.arm(name);
    this.disarm();
    this.actions[name]?.();
  }

  arm(name) {
    this.disarm();
    if (!(this.actions.may?.(name) ?? true)) return;
    this.armed = name;
    const button = this.button(name);
    button.classList.add("armed");
    this.words = button.querySelector("span").textContent;
    button.querySelector("span").textContent = "Press again";
    this.actions.say?.(`Press ${button.querySelector("kbd").textContent} again ${ASK[name]}`);
    this.timer = setTimeout(() => this.disarm(), CONFIRM_MS);
  }

  disarm() {
    clearTimeout(this.timer);
    if (!this.armed) return;
    const button = this.button(this.armed);
    button.classList.remove("armed");
    button.querySelector("span").textContent = this.words;
    this.armed = null;
  }

  button(name) {
    return this.nav.querySelector(`[data-do="${name}"]`);
  }

  // A key that holds something back says so.
  press_state(name, on, words) {
    const button = this.button(name);
    button.setAttribute("aria-pressed", String(on));
    if (this.armed !== name) button.querySelector("span").textContent = words;
  }
}
