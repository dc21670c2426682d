// How numbers and labels stand on the screen; the same rules as the video overlay's.

export function readable(label) {
  const words = label.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// Never claims 0 or 100 %: no model is that certain.
export function percentage(probability) {
  if (typeof probability !== "number") return "—";
  if (probability < 0.005) return "<1%";
  if (probability >= 0.995) return ">99%";
  return `${Math.round(probability * 100)}%`;
}

// mm:ss.s, cut off rather than rounded so that it never reads 60.0.
export function clockTime(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const pad = (number) => String(number).padStart(2, "0");
  return `${pad(Math.floor(tenths / 600))}:${pad(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
}

export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export const STATE_WORDS = {
  collecting: (_set, leaning) => `too few independent frames yet${leaning ? `; leans to ${readable(leaning)}` : ""}`,
  // a set is never empty: where no class passed, the likeliest alone is named
  ambiguous: (set) => (set.length > 1 ? `${set.length} classes remain` : "no class stands out"),
  stable: () => "one class remains",
  unfamiliar: () => "unlike what the model was trained on: nothing is said of it",
};
