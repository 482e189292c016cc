// Where each plate is at each moment: fetched in stretches of the video around what is shown.
import { api } from "../api";
import type { Moment } from "../types";

export interface Track {
  track_id: number;
  plate_id: string | null;
  text: string | null;
  confidence: number | null;
  reason: string | null;
  first_seen: Moment;
  last_seen: Moment;
  frames: number[];
  seconds: number[];
  boxes: [number, number, number, number][];
  thinned: boolean;
}

/** The video as it is shown: upright. */
export interface Picture {
  container: string | null;
  codec: string | null;
  width: number | null;
  height: number | null;
  fps: number | null;
  duration_seconds: number | null;
  total_frames: number | null;
}

interface Answer {
  video: Picture | null;
  from: number;
  to: number;
  tracks: Track[];
}

export type Box = [number, number, number, number];

/** A plate that is in the picture at the moment shown. */
export interface Shown {
  track: Track;
  box: Box;
}

const STRETCH = 900;
const MOST_STRETCHES = 8;
/** Seconds after which a stretch is asked for again while the job still runs. */
const STALE = 4;
/** Between two places so far apart, in seconds, nobody knows where the plate was. */
const MOST_BETWEEN = 1.5;

/** Seconds after a failure before the next try. */
const PAUSE = 2;

interface Stretch {
  index: number;
  tracks: Track[];
  at: number;
  used: number;
}

/** The place of a track at a moment; null when it is not seen then. `hold` is how long, in seconds,
 * a place counts where nothing follows it: about half a frame. */
export function boxAt(track: Track, seconds: number, hold: number): Box | null {
  const times = track.seconds;
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= seconds) low = middle + 1;
    else high = middle;
  }
  const before = times[low - 1];
  const after = times[low];
  const boxBefore = track.boxes[low - 1];
  const boxAfter = track.boxes[low];
  // The very frame first: what was seen there is drawn there.
  if (before !== undefined && boxBefore && seconds - before < hold / 2) return boxBefore;
  if (after !== undefined && boxAfter && after - seconds < hold / 2) return boxAfter;
  if (before !== undefined && after !== undefined && boxBefore && boxAfter) {
    if (!track.thinned && after - before > MOST_BETWEEN) return null;
    const share = (seconds - before) / (after - before);
    return boxBefore.map((side, i) => side + share * ((boxAfter[i] as number) - side)) as Box;
  }
  if (before !== undefined && boxBefore && seconds - before < hold) return boxBefore;
  if (after !== undefined && boxAfter && after - seconds < hold) return boxAfter;
  return null;
}

export class Tracks {
  picture: Picture | null = null;
  private stretches: Stretch[] = [];
  private asked = new Map<number, AbortController>();
  private failedAt = -Infinity;
  private clock = 0;

  constructor(
    private readonly jobId: string,
    /** Called when there is something new to draw. */
    private readonly changed: () => void,
    private readonly live: () => boolean,
  ) {}

  get fps(): number {
    return this.picture?.fps || 25;
  }

  /** The plates in the picture at this moment, from what has been fetched; fetches what is missing. */
  at(seconds: number): Shown[] {
    const index = this.index(seconds);
    this.want(index);
    // What comes next is there before it is shown.
    if (this.index(seconds + 8) !== index) this.want(index + 1);
    // A track is in every stretch that it runs through. Seconds decide, not the stretch: where the
    // frames' distances vary, the stretch is a guess.
    const found = new Map<number, Shown>();
    const hold = 0.6 / this.fps;
    for (const stretch of this.stretches) {
      if (Math.abs(stretch.index - index) > 1) continue;
      stretch.used = ++this.clock;
      for (const track of stretch.tracks) {
        if (found.has(track.track_id)) continue;
        if (seconds < track.first_seen.seconds - hold || seconds > track.last_seen.seconds + hold) continue;
        const box = boxAt(track, seconds, hold);
        if (box) found.set(track.track_id, { track, box });
      }
    }
    return [...found.values()];
  }

  /** Forgets what was fetched: tracks were added, or a text was corrected. */
  refresh(): void {
    for (const stretch of this.stretches) stretch.at = 0;
    this.changed();
  }

  /** A person corrected a plate: what is drawn says the same at once. */
  rename(plateId: string, text: string): void {
    for (const { tracks } of this.stretches) {
      for (const track of tracks) if (track.plate_id === plateId) track.text = text;
    }
    this.changed();
  }

  stop(): void {
    for (const controller of this.asked.values()) controller.abort();
    this.asked.clear();
  }

  private index(seconds: number): number {
    return Math.max(0, Math.floor((seconds * this.fps) / STRETCH));
  }

  private want(index: number): void {
    const now = performance.now() / 1000;
    const known = this.stretches.find((stretch) => stretch.index === index);
    const fresh = known && known.at > 0 && (!this.live() || now - known.at < STALE);
    if (fresh || this.asked.has(index) || now - this.failedAt < PAUSE) return;
    const total = this.picture?.total_frames;
    if (total && index * STRETCH >= total && index > 0) return;
    const controller = new AbortController();
    this.asked.set(index, controller);
    this.fetch(index, controller.signal)
      .then(
        (tracks) => {
          this.stretches = this.stretches.filter((stretch) => stretch.index !== index);
          this.stretches.push({ index, tracks, at: performance.now() / 1000, used: ++this.clock });
          if (this.stretches.length > MOST_STRETCHES) {
            this.stretches.sort((a, b) => b.used - a.used);
            this.stretches.length = MOST_STRETCHES;
          }
          this.changed();
        },
        () => {
          if (controller.signal.aborted) return;
          this.failedAt = performance.now() / 1000;
          setTimeout(this.changed, PAUSE * 1000 + 100);
        },
      )
      .finally(() => this.asked.delete(index));
  }

  private async fetch(index: number, signal: AbortSignal): Promise<Track[]> {
    const end = (index + 1) * STRETCH;
    const found = new Map<number, Track>();
    for (let from = index * STRETCH; from < end; ) {
      const answer = await api.get<Answer>(`/jobs/${this.jobId}/tracks`, { query: { from, to: end }, signal });
      if (answer.video) this.picture = answer.video;
      for (const track of answer.tracks) {
        const known = found.get(track.track_id);
        if (known) goOn(known, track);
        else found.set(track.track_id, track);
      }
      from = Math.max(answer.to, from + 1);
    }
    return [...found.values()];
  }
}

function goOn(track: Track, more: Track): void {
  const last = track.frames.at(-1) ?? -1;
  const start = more.frames.findIndex((frame) => frame > last);
  if (start < 0) return;
  track.frames.push(...more.frames.slice(start));
  track.seconds.push(...more.seconds.slice(start));
  track.boxes.push(...more.boxes.slice(start));
}
