// The keys that work wherever the focus is, unless somebody is typing.
import type { Review } from "./model";
import { SPEEDS } from "./Player";

export const KEYS: readonly [string, string][] = [
  ["Space, K", "play and pause"],
  [", and .", "one frame back and on"],
  ["J and L", "five seconds back and on"],
  ["< and >", "slower and faster"],
  ["[ and ]", "plate before and next plate"],
  ["E", "correct the selected plate; Enter saves, Esc cancels"],
];

/** Whether the key belongs to what has the focus. */
function taken(event: KeyboardEvent): boolean {
  const on = event.target instanceof Element ? event.target : null;
  if (on?.closest("input, textarea, select, [contenteditable], dialog")) return true;
  return event.key === " " && on?.closest("button, a, summary") !== null && on !== null;
}

function faster(review: Review, by: 1 | -1): void {
  const now = SPEEDS.indexOf(review.speed.value);
  review.speed.value = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, now + by))] ?? 1;
}

/** Handles a key that was pressed anywhere in the review. */
export function onKey(review: Review, event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || taken(event)) return;
  const actions: Record<string, () => void> = {
    " ": () => review.player?.toggle(),
    k: () => review.player?.toggle(),
    j: () => review.seek(review.time.value - 5),
    l: () => review.seek(review.time.value + 5),
    ",": () => review.player?.step(-1),
    ".": () => review.player?.step(1),
    "<": () => faster(review, -1),
    ">": () => faster(review, 1),
    "[": () => review.move(-1),
    "]": () => review.move(1),
    e: () => {
      const plate = review.plate(review.selected.value);
      if (!plate) return;
      review.chosen.value++;
      review.editing.value = plate.plate_id;
    },
  };
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
