// How fast bytes leave: over the last seconds, so that it follows the line and does not flicker.
const WINDOW_MS = 6000;

export class Speed {
  private samples: { at: number; sent: number }[] = [];

  /** Notes how many bytes have left by now. */
  note(sent: number, at = performance.now()): void {
    const last = this.samples.at(-1);
    // A broken part is sent again: what was counted for it did not arrive.
    if (last && sent < last.sent) this.samples = [];
    this.samples.push({ at, sent });
    while (this.samples.length > 2 && at - this.samples[0]!.at > WINDOW_MS) this.samples.shift();
  }

  reset(): void {
    this.samples = [];
  }

  /** Bytes a second; null until it can be told. */
  get perSecond(): number | null {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at - first.at < 500) return null;
    return ((last.sent - first.sent) / (last.at - first.at)) * 1000;
  }
}
