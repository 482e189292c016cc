// What a screen reader says without the focus moving. One polite region for the whole page; at
// most one sentence in two seconds, the last one wins, so that progress does not flood it.
import { signal } from "@preact/signals";

const spoken = signal("");
const PAUSE = 2000;
let last = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Says a sentence when the last one has been out for a while. */
export function announce(text: string): void {
  clearTimeout(timer);
  const wait = Math.max(50, last + PAUSE - Date.now());
  timer = setTimeout(() => {
    last = Date.now();
    spoken.value = text;
  }, wait);
}

export function Announcer() {
  return (
    <div class="visually-hidden" role="status" aria-live="polite">
      {spoken.value}
    </div>
  );
}
