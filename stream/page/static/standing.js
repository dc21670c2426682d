// Decides, from what is known at this moment, what may be shown at all. Pure: no page, no clock.

// `sinceMs` is how long ago the session published its last status, `lateMs` when that is too long.
export function judge(status, sinceMs, lateMs, choice) {
  if (status?.over) return final(status, choice);
  if (!status) return dark("AI OFF", "waiting for the session");
  if (sinceMs > lateMs) {
    return { ...dark("AI OFF", "connection lost"), lost: true };
  }
  const ageMs = (status.opinion_age_ms ?? 0) + sinceMs;
  const old = status.ai === "AI ON" && ageMs > lateMs; // the session may say so a moment later
  const on = status.ai === "AI ON" && !old;
  const blind = status.mode === "second-read" && !status.ended;
  const hidden = blind || choice.aiHidden;
  return {
    ai: old ? "AI OFF" : status.ai,
    reason: old ? `the last answer is ${(ageMs / 1000).toFixed(1)} s old` : on ? status.engine ?? "" : status.ai_reason ?? "",
    lost: false,
    noSignal: status.ai === "NO SIGNAL",
    blind,
    hidden,
    lit: on && !hidden, // only then is any opinion on the screen
    heat: on && !hidden && !choice.heatmapHidden,
    leftMs: lateMs - ageMs, // for so long what is said stays true by itself
  };
}

// The session is over and said so: its last word stays, as a result that is past, until a new one greets.
function final(status, choice) {
  const on = status.ai === "AI ON";
  const lit = on && !choice.aiHidden;
  return {
    ...dark("EXAM ENDED", on ? "this is its final result" : "the AI was off at its end: see the report"),
    over: true,
    hidden: choice.aiHidden,
    lit,
  };
}

function dark(ai, reason) {
  return { ai, reason, lost: false, noSignal: false, blind: false, hidden: false, lit: false, heat: false };
}
