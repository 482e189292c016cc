// A job's plates and unread tracks: all pages in the background, and what comes while the job runs.
import { signal } from "@preact/signals";
import { address, api, sentence } from "../api";
import type { Job, JobStatus, Plate, PlateList, UnreadTrack } from "../types";

/** More are not fetched into one page; the exports have them all. */
export const MOST_PLATES = 50_000;
const PAGE = 1000;

const ENDED: ReadonlySet<JobStatus> = new Set(["completed", "failed", "cancelled", "expired"]);

interface UnreadList {
  unread: UnreadTrack[];
  next_cursor: string | null;
}

function byTime(a: Plate, b: Plate): number {
  return a.first_seen.frame - b.first_seen.frame || (a.plate_id < b.plate_id ? -1 : 1);
}

export class JobPlates {
  readonly job = signal<Job | null>(null);
  readonly plates = signal<readonly Plate[]>([]);
  readonly unread = signal<readonly UnreadTrack[]>([]);
  readonly loading = signal(true);
  readonly cutOff = signal(false);
  readonly error = signal<string | null>(null);
  private known = new Map<string, Plate>();
  private events: EventSource | null = null;
  private controller = new AbortController();
  private drawing = 0;

  constructor(
    private readonly jobId: string,
    /** Called when tracks were added. */
    private readonly grown: () => void,
  ) {}

  get live(): boolean {
    const job = this.job.value;
    return job !== null && !ENDED.has(job.status);
  }

  async start(): Promise<void> {
    this.error.value = null;
    this.loading.value = true;
    const { signal } = this.controller;
    try {
      this.job.value = await api.get<Job>(`/jobs/${this.jobId}`, { signal });
      if (this.live) this.follow();
      await this.load();
    } catch (error) {
      if (!signal.aborted) this.error.value = sentence(error);
    } finally {
      if (!signal.aborted) this.loading.value = false;
    }
  }

  stop(): void {
    this.controller.abort();
    this.controller = new AbortController();
    this.events?.close();
    this.events = null;
    cancelAnimationFrame(this.drawing);
  }

  /** Sends a correction. Throws ApiError. */
  async correct(plateId: string, text: string): Promise<Plate> {
    const changed = await api.patch<Plate>(`/plates/${plateId}`, { text });
    this.known.set(plateId, changed);
    this.show();
    return changed;
  }

  private async load(): Promise<void> {
    const { signal } = this.controller;
    let cursor: string | null = null;
    do {
      const page: PlateList = await api.get<PlateList>(`/jobs/${this.jobId}/plates`, {
        query: { cursor, limit: PAGE },
        signal,
      });
      for (const plate of page.plates) this.known.set(plate.plate_id, plate);
      cursor = page.next_cursor;
      this.show();
    } while (cursor && this.known.size < MOST_PLATES);
    this.cutOff.value = cursor !== null;
    await this.loadUnread();
  }

  private async loadUnread(): Promise<void> {
    const { signal } = this.controller;
    const found: UnreadTrack[] = [];
    let cursor: string | null = null;
    do {
      const page: UnreadList = await api.get<UnreadList>(`/jobs/${this.jobId}/unread`, {
        query: { cursor, limit: PAGE },
        signal,
      });
      found.push(...page.unread);
      cursor = page.next_cursor;
    } while (cursor && found.length < MOST_PLATES);
    this.unread.value = found.sort((a, b) => a.first_seen.frame - b.first_seen.frame);
  }

  private follow(): void {
    const events = new EventSource(address(`/jobs/${this.jobId}/events`));
    this.events = events;
    const ended = () => {
      events.close();
      this.loading.value = true;
      // What was decided last, and what other pages of the list had missed.
      void this.start().then(this.grown);
    };
    events.addEventListener("progress", (event) => {
      this.job.value = JSON.parse((event as MessageEvent<string>).data) as Job;
    });
    events.addEventListener("plate", (event) => {
      const plate = JSON.parse((event as MessageEvent<string>).data) as Plate;
      // An event tells what the machine read; a correction may have come since.
      if (this.known.has(plate.plate_id) || this.known.size >= MOST_PLATES) return;
      this.known.set(plate.plate_id, plate);
      cancelAnimationFrame(this.drawing);
      this.drawing = requestAnimationFrame(() => {
        this.show();
        this.grown();
      });
    });
    for (const name of ["completed", "failed", "cancelled", "expired"]) events.addEventListener(name, ended);
  }

  private show(): void {
    this.plates.value = [...this.known.values()].sort(byTime);
  }
}
