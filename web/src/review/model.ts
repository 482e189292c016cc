// What the parts of the review share: the moment shown, what is selected, and how to move.
import { computed, signal } from "@preact/signals";
import { sentence } from "../api";
import type { Plate, UnreadTrack } from "../types";
import { isHash, spoken } from "../ui/PlateText";
import { announce } from "../ui/announce";
import { JobPlates } from "./plates";
import { Tracks, type Shown } from "./tracks";

/** "p" and a plate's id, or "u" and an unread track's number. */
export type Key = string;

export const keyOf = (plate: Plate): Key => `p${plate.plate_id}`;
export const keyOfUnread = (track: UnreadTrack): Key => `u${track.track_id}`;

export type Order = "time" | "doubt";

/** How the player is asked to move. */
export interface Playing {
  seek(seconds: number): void;
  toggle(): void;
  step(frames: number): void;
}

export class Review {
  readonly list: JobPlates;
  readonly tracks: Tracks;
  readonly time = signal(0);
  readonly length = signal(0);
  readonly playing = signal(false);
  readonly speed = signal(1);
  readonly selected = signal<Key | null>(null);
  /** Counts selections that a person made; rows come into sight for those always. */
  readonly chosen = signal(0);
  readonly editing = signal<string | null>(null);
  readonly order = signal<Order>("time");
  readonly filter = signal("");
  readonly failure = signal<{ plateId: string; detail: string } | null>(null);
  /** Why the video is not played; null while it is. `again`: it may be another time. */
  readonly unplayable = signal<{ why: string; again: boolean } | null>(null);
  player: Playing | null = null;
  /** Draws again at the moment shown. */
  redraw: () => void = () => {};

  /** The plates as the table shows them. */
  readonly rows = computed<readonly Plate[]>(() => {
    const wanted = this.filter.value.toUpperCase().replace(/[^A-Z0-9]/g, "");
    let rows = this.list.plates.value;
    if (wanted) rows = rows.filter((p) => p.text.includes(wanted) || p.correction?.machine_text.includes(wanted));
    if (this.order.value === "doubt") {
      // A text that a person gave is not in doubt.
      const doubt = (p: Plate) => (p.correction ? 2 : p.confidence);
      rows = [...rows].sort((a, b) => doubt(a) - doubt(b));
    }
    return rows;
  });

  private readonly plateBy = computed(() => new Map(this.list.plates.value.map((plate) => [keyOf(plate), plate])));
  private readonly unreadBy = computed(() => new Map(this.list.unread.value.map((track) => [keyOfUnread(track), track])));

  constructor(readonly jobId: string) {
    this.list = new JobPlates(jobId, () => this.tracks.refresh());
    this.tracks = new Tracks(
      jobId,
      () => {
        const known = this.tracks.picture?.duration_seconds;
        if (!this.length.value && known) this.length.value = known;
        this.redraw();
      },
      () => this.list.live,
    );
  }

  start(): void {
    void this.list.start();
    this.tracks.at(0);
  }

  stop(): void {
    this.list.stop();
    this.tracks.stop();
  }

  plate(key: Key | null): Plate | undefined {
    return key?.startsWith("p") ? this.plateBy.value.get(key) : undefined;
  }

  unreadTrack(key: Key | null): UnreadTrack | undefined {
    return key?.startsWith("u") ? this.unreadBy.value.get(key) : undefined;
  }

  /** A person chose a plate: show it where it was seen best, or at another moment. */
  choose(key: Key, seconds?: number): void {
    this.selected.value = key;
    this.chosen.value++;
    const found = this.plate(key) ?? this.unreadTrack(key);
    // Of a plate whose video is not played there is one picture.
    const moment = this.unplayable.value ? found?.best.seconds : (seconds ?? found?.best.seconds);
    if (moment !== undefined) this.goTo(moment);
  }

  seek(seconds: number): void {
    if (!this.unplayable.value) {
      this.goTo(seconds);
      return;
    }
    const off = (plate: Plate) => Math.abs(plate.best.seconds - seconds);
    const plates = this.list.plates.value;
    const first = plates[0];
    if (first) this.choose(keyOf(plates.reduce((best, plate) => (off(plate) < off(best) ? plate : best), first)));
  }

  private goTo(seconds: number): void {
    this.time.value = Math.max(0, this.length.value ? Math.min(seconds, this.length.value) : seconds);
    if (this.player) this.player.seek(this.time.value);
    else this.redraw();
  }

  /** The plate before or after the one selected, in the table's order. */
  move(by: 1 | -1): void {
    const rows = this.rows.value;
    if (!rows.length) return;
    const now = rows.findIndex((plate) => keyOf(plate) === this.selected.value);
    let next = now + by;
    if (now < 0) {
      const after = rows.findIndex((plate) => plate.best.seconds > this.time.value);
      next = after < 0 ? rows.length - 1 : by > 0 ? after : Math.max(0, after - 1);
    }
    const plate = rows[Math.min(rows.length - 1, Math.max(0, next))];
    if (plate) this.choose(keyOf(plate));
  }

  /** Selects what is in the picture while the video plays; what is selected stays while it is seen. */
  follow(shown: readonly Shown[]): void {
    const keys = shown.map(({ track }) => (track.plate_id ? `p${track.plate_id}` : `u${track.track_id}`));
    if (!keys.length || (this.selected.value && keys.includes(this.selected.value))) return;
    let newest = -1;
    shown.forEach(({ track }, i) => {
      const best = shown[newest];
      if (!track.plate_id) return;
      if (!best || track.first_seen.frame > best.track.first_seen.frame) newest = i;
    });
    const key = keys[newest];
    if (key) this.selected.value = key;
  }

  /** Sends a correction; the row says so if it is refused. Resolves to whether it was taken. */
  async correct(plate: Plate, text: string): Promise<boolean> {
    this.failure.value = null;
    try {
      const changed = await this.list.correct(plate.plate_id, text);
      this.tracks.rename(plate.plate_id, changed.text);
      announce(`Corrected to ${isHash(changed.text) ? spoken(changed.text) : [...changed.text].join(" ")}.`);
      return true;
    } catch (error) {
      this.failure.value = { plateId: plate.plate_id, detail: sentence(error) };
      return false;
    }
  }
}
