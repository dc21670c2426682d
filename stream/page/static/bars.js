// The running probabilities: a row a class, with its bar and its 95 % interval.
//
// Without a result a row is a name and a dash, never a bar.

import { percentage, readable } from "./words.js";

function make(tag, className, parent) {
  const element = document.createElement(tag);
  element.className = className;
  parent.append(element);
  return element;
}

const percent = (value) => `${Math.min(1, Math.max(0, value)) * 100}%`;

export class Bars {
  constructor(list) {
    this.list = list;
    this.rows = [];
    this.labels = [];
  }

  // Makes the rows; returns the elements that only a living AI may light.
  name(labels) {
    if (labels.join("\n") === this.labels.join("\n")) return null;
    this.labels = labels;
    this.rows = labels.map((label, place) => this.makeRow(label, place));
    this.list.replaceChildren(...this.rows.map((row) => row.row));
    return this.rows.map((row) => row.reading);
  }

  makeRow(label, place) {
    const row = document.createElement("div");
    row.className = `row class-${place % 8}`;
    row.setAttribute("role", "listitem");
    make("i", "swatch", row);
    make("span", "name", row).textContent = readable(label);
    const dash = make("span", "dash", row);
    dash.textContent = "—";
    const reading = make("div", "reading", row);
    make("i", "swatch filled", reading);
    const tag = make("span", "tag", reading);
    const value = make("b", "value", reading);
    const track = make("div", "track", reading);
    const fill = make("div", "fill", track);
    const whisker = make("div", "whisker", track);
    return { row, reading, tag, value, fill, whisker, shown: "" };
  }

  // `status` null blanks every row. Writes only the rows that changed: the page asks 20 times a second
  // and more, and each row that is written is laid out and painted anew.
  show(status) {
    const probabilities = status?.probabilities;
    const set = new Set(status?.prediction_set ?? []);
    const winner = leading(status, set);
    this.rows.forEach((parts, place) => {
      const probability = probabilities?.[place];
      const known = typeof probability === "number";
      const inSet = known && set.has(this.labels[place]);
      const [low, high] = [status?.low?.[place], status?.high?.[place]];
      const shown = JSON.stringify([probability, inSet, place === winner, low, high]);
      if (parts.shown === shown) return;
      parts.shown = shown;
      parts.row.classList.toggle("known", known);
      parts.row.classList.toggle("in-set", inSet);
      parts.row.classList.toggle("winner", known && place === winner);
      parts.tag.textContent = inSet ? "in set" : "";
      parts.value.textContent = known ? percentage(probability) : "";
      parts.fill.style.width = known ? percent(probability) : "0";
      drawWhisker(parts.whisker, known, low, high);
      parts.row.setAttribute(
        "aria-label",
        `${readable(this.labels[place])}: ${known ? percentage(probability) : "no result"}${inSet ? ", in the prediction set" : ""}`,
      );
    });
  }
}

function drawWhisker(whisker, known, low, high) {
  const whole = known && typeof low === "number" && typeof high === "number";
  whisker.hidden = !whole;
  if (!whole) return;
  whisker.style.left = percent(low);
  whisker.style.right = percent(1 - high);
}

// While an exam is collecting, or its pictures are unfamiliar, no probabilities are sent.
function leading(status, set) {
  if (!status?.probabilities || !status.state) return -1;
  if (!status.probabilities.every((one) => typeof one === "number")) return -1;
  const place = status.probabilities.indexOf(Math.max(...status.probabilities));
  return set.has(status.labels[place]) ? place : -1;
}
