// The list of jobs, kept fresh: the first page is asked for every few seconds while somebody
// looks, and jobs that are being worked on are followed by server-sent events.
import { batch, computed, effect, signal } from "@preact/signals";
import { address, api, ApiError, sentence } from "../api";
import { announce } from "../ui/announce";
import { counted } from "../format";
import type { Deleted, Job, JobList } from "../types";
import { FINISHED, isActive, isWorking } from "./status";

export interface Filter {
  /** One of the groups below, or "". */
  state: "" | "active" | "completed" | "failed";
  type: "" | "video" | "image" | "upload";
  name: string;
}

export const STATES: Record<Exclude<Filter["state"], "">, readonly string[]> = {
  active: ["awaiting_upload", "uploading", "uploaded", "pending", "processing"],
  completed: ["completed"],
  failed: ["failed", "cancelled", "expired"],
};

const PAGE = 25;
const MOST_PAGES = 40;
const QUICK_MS = 3000;
const SLOW_MS = 10_000;
const SLOWEST_MS = 60_000;
/** Streams open at once: a browser holds six connections to a server, and requests need some. */
const STREAMS = 2;

export const filter = signal<Filter>({ state: "", type: "", name: "" });
const listed = signal<readonly Job[]>([]);
export const nextCursor = signal<string | null>(null);
/** Null until the first answer. */
export const loaded = signal(false);
export const problem = signal<string | null>(null);
/** Whether there is any job at all, whatever the filter. */
export const anyJobs = signal<boolean | null>(null);

/** An upload whose video is being read is shown once, as the job that reads it. */
export const jobs = computed(() => listed.value.filter((job) => !(job.type === "upload" && job.processing_job_id)));

function query(): Record<string, string | number | readonly string[]> {
  const { state, type, name } = filter.value;
  return { limit: PAGE, status: state ? STATES[state] : [], type, name: name.trim() };
}

export function isFiltered(): boolean {
  const { state, type, name } = filter.value;
  return Boolean(state || type || name.trim());
}

let timer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;
let asked = 0;
let watchers = 0;

/** Asks for the first page now, and goes on asking. */
export async function refresh(): Promise<void> {
  clearTimeout(timer);
  const mine = ++asked;
  try {
    const page = await api.get<JobList>("/jobs", { query: query(), timeout: 15_000 });
    if (mine !== asked) return;
    failures = 0;
    batch(() => {
      take(page);
      loaded.value = true;
      problem.value = null;
      if (!isFiltered()) anyJobs.value = page.jobs.length > 0;
      else if (page.jobs.length) anyJobs.value = true;
    });
  } catch (error) {
    if (mine !== asked) return;
    failures += 1;
    problem.value = sentence(error);
  }
  plan();
}

function plan(): void {
  clearTimeout(timer);
  if (watchers === 0 || document.hidden) return;
  const usual = listed.value.some(isActive) ? QUICK_MS : SLOW_MS;
  const wait = failures ? Math.min(SLOWEST_MS, usual * 2 ** Math.min(failures, 6)) : usual;
  timer = setTimeout(() => void refresh(), wait);
}

/** Puts a fresh first page in front of the pages that a person has opened already. */
function take(page: JobList): void {
  const fresh = new Set(page.jobs.map((job) => job.job_id));
  const oldest = page.jobs.at(-1)?.created_at;
  const rest =
    page.next_cursor && oldest
      ? listed.value.filter((job) => !fresh.has(job.job_id) && job.created_at < oldest)
      : [];
  if (rest.length === 0) nextCursor.value = page.next_cursor;
  const before = new Map(listed.value.map((job) => [job.job_id, job]));
  for (const job of page.jobs) tellEnd(before.get(job.job_id), job);
  listed.value = [...page.jobs, ...rest];
}

function tellEnd(before: Job | undefined, now: Job): void {
  if (!before || !isActive(before) || isActive(now) || now.type === "upload") return;
  const name = now.filename ?? "The job";
  if (now.status === "completed") announce(`${name}: done, ${counted(now.plates_found, "plate")}`);
  else if (now.status === "failed") announce(`${name}: failed. ${now.error?.detail ?? ""}`);
}

/** Adds the next page to the list. */
export async function more(): Promise<void> {
  const cursor = nextCursor.value;
  if (!cursor || listed.value.length >= MOST_PAGES * PAGE) return;
  try {
    const page = await api.get<JobList>("/jobs", { query: { ...query(), cursor } });
    const known = new Set(listed.value.map((job) => job.job_id));
    batch(() => {
      listed.value = [...listed.value, ...page.jobs.filter((job) => !known.has(job.job_id))];
      nextCursor.value = page.next_cursor;
    });
  } catch (error) {
    problem.value = sentence(error);
  }
}

function replace(job: Job): void {
  const before = listed.value.find((one) => one.job_id === job.job_id);
  if (!before) return;
  tellEnd(before, job);
  listed.value = listed.value.map((one) => (one.job_id === job.job_id ? job : one));
}

/** Follows one job live, calling back with each state; returns what ends it. */
export function follow(jobId: string, onState: (job: Job) => void): () => void {
  const source = new EventSource(address(`/jobs/${jobId}/events`));
  source.addEventListener("progress", (event) => {
    const job = JSON.parse((event as MessageEvent<string>).data) as Job;
    onState(job);
    // The stream of a finished job ends; a browser would open it again.
    if (FINISHED.includes(job.status)) source.close();
  });
  return () => source.close();
}

const streams = new Map<string, () => void>();

function followWorking(): void {
  const wanted = watchers && !document.hidden ? jobs.value.filter(isWorking).slice(0, STREAMS) : [];
  const ids = new Set(wanted.map((job) => job.job_id));
  for (const [id, stop] of streams) {
    if (ids.has(id)) continue;
    stop();
    streams.delete(id);
  }
  for (const id of ids) if (!streams.has(id)) streams.set(id, follow(id, replace));
}

function onVisibility(): void {
  followWorking();
  if (!document.hidden) void refresh();
  else clearTimeout(timer);
}

/** Keeps the list fresh until the function it returns is called. */
export function watchJobs(): () => void {
  watchers += 1;
  let first = true;
  const stopFilter = effect(() => {
    void filter.value;
    if (!first) {
      listed.value = [];
      loaded.value = false;
    }
    first = false;
    void refresh();
  });
  const stopStreams = effect(followWorking);
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("online", onVisibility);
  return () => {
    watchers -= 1;
    stopFilter();
    stopStreams();
    document.removeEventListener("visibilitychange", onVisibility);
    removeEventListener("online", onVisibility);
    followWorking();
    clearTimeout(timer);
  };
}

export async function cancelJob(job: Job): Promise<void> {
  replace(await api.post<Job>(`/jobs/${job.job_id}/cancel`));
}

export async function retryJob(job: Job): Promise<void> {
  replace(await api.post<Job>(`/jobs/${job.job_id}/retry`));
}

/** Deletes a job with all that belongs to it. One that is gone already is as good. */
export async function deleteJob(job: Job): Promise<Deleted | null> {
  let answer: Deleted | null = null;
  try {
    answer = await api.delete<Deleted>(`/jobs/${job.job_id}`);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
  listed.value = listed.value.filter((one) => one.job_id !== job.job_id);
  await refresh();
  return answer;
}
