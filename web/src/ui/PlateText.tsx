// A plate's text as people see it: itself, or where only a keyed hash of it is kept, a short token.

const HASH = /^(?:[0-9A-F]{8})?([0-9A-F]{32})$/;
const DIGITS = 6;

/** Whether a text is a hash; no plate is as long. */
export function isHash(text: string): boolean {
  return HASH.test(text);
}

/** In few characters. The same plate has the same token, two may by chance share one. */
export function inShort(text: string): string {
  const hash = HASH.exec(text)?.[1];
  return hash ? `#${hash.slice(0, DIGITS).toLowerCase()}…` : text;
}

/** For those who hear it. */
export function spoken(text: string): string {
  return isHash(text) ? `hashed plate ${inShort(text).slice(1, -1)}` : text;
}

/** For a tooltip: all of a hash; a text needs none. */
export function inFull(text: string): string | undefined {
  return isHash(text) ? `Hash of the plate: ${text}` : undefined;
}

/** Said once where hashed plates are shown. */
export function AboutHashes() {
  return (
    <p class="small muted about-hashes">
      <code>#…</code> is a hashed plate: its text is not kept. The same plate has the same hash, and a search for its whole text finds it.
    </p>
  );
}
