// Whose exam this is: the hospital's entries of today, and whether the study has arrived.

export class Worklist {
  // `ask(name, fields)` sends a command.
  constructor(byId, ask) {
    this.byId = byId;
    this.ask = ask;
    this.dialog = byId("worklist");
    this.list = this.dialog.querySelector("ul");
    this.told = null;
    this.place = 0;
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  get shown() {
    return this.dialog.open;
  }

  // Another session may have no worklist, and knows nothing of whom this one took.
  forget() {
    this.told = null;
    if (this.shown) this.dialog.close();
    for (const part of this.parts()) part.hidden = true;
    this.byId("patient").textContent = "";
    this.byId("study-words").textContent = "";
    this.list.replaceChildren();
  }

  parts() {
    const named = ["help-worklist", "patient", "study-words"].map((id) => this.byId(id));
    return [...named, document.querySelector('[data-do="worklist"]')];
  }

  take(told) {
    this.told = told;
    for (const part of this.parts()) part.hidden = false;
    const { taken, study } = told;
    this.byId("patient").textContent = taken ? describe(taken) : "nobody's: W chooses from the worklist";
    this.byId("patient").classList.toggle("nobody", !taken);
    this.byId("study-words").hidden = !study.words;
    this.byId("study-words").textContent = study.words;
    this.byId("study-words").dataset.standing = study.standing;
    this.place = Math.min(this.place, Math.max(0, (told.entries ?? []).length - 1));
    if (this.shown) this.render();
  }

  open() {
    if (!this.told) return;
    this.ask("worklist");
    this.place = 0;
    this.render();
    this.dialog.showModal();
  }

  steer(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const count = this.told.entries?.length ?? 0;
    if (step && count) {
      this.place = (this.place + step + count) % count;
      this.render();
    } else if (event.key === "Enter") this.choose(this.place);
    else if (event.key === "Escape") this.dialog.close();
    else if (event.key === "w" || event.key === "W") this.ask("worklist");
    return true;
  }

  choose(place) {
    const entry = this.told.entries?.[place];
    if (!entry?.accession) return;
    const { accession, step } = entry;
    this.ask("take", step ? { accession, step } : { accession });
    this.dialog.close();
  }

  render() {
    const { entries, said, asks } = this.told;
    const none = entries && !entries.length ? "nothing is scheduled today" : "";
    this.byId("worklist-said").textContent = said || (asks ? "asking…" : none);
    this.list.replaceChildren(
      ...(entries ?? []).map((entry, place) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = [entry.at, describe(entry), entry.what].filter(Boolean).join("  ");
        if (!entry.accession) button.textContent += "  (no accession number: it cannot be taken)";
        button.disabled = !entry.accession;
        button.tabIndex = -1;
        item.classList.toggle("chosen", place === this.place);
        button.onclick = () => this.choose(place);
        item.append(button);
        return item;
      }),
    );
    this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  }
}

// Name, birth date and accession number: two patients of one name are told apart.
function describe(entry) {
  return [entry.name, entry.born && `born ${entry.born}`, entry.accession].filter(Boolean).join(" · ");
}
