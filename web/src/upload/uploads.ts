// The uploads of this page: what waits, what runs, what stopped. Each is a small state machine:
// waiting → sending ⇄ paused → sent, or failed, from where it can be tried again.
import { batch, computed, signal, type Signal } from "@preact/signals";
import { api, ApiError, request, sentence } from "../api";
import { config } from "../config";
import { announce } from "../ui/announce";
import { sendForm, sendThroughApi } from "./form";
import { chooseMethod, refusalOf, RESUMABLE, type Method, type Reading } from "./method";
import { sendMultipart } from "./multipart";
import type { Waiting } from "./persist";
import { isSameFile, saved, SILENCE_MS, type SavedUpload } from "./saved";
import { Speed } from "./speed";
import type { Send } from "./transfer";
import { sendTus } from "./tus";

export type UploadState = "needs-file" | "waiting" | "sending" | "paused" | "sent" | "failed" | "refused";

export interface Upload {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly lastModified: number;
  readonly reading: Reading;
  readonly method: Method;
  readonly state: Signal<UploadState>;
  readonly sent: Signal<number>;
  /** Bytes a second. */
  readonly speed: Signal<number | null>;
  /** Why it is not moving although it runs: no network, say. */
  readonly waiting: Signal<Waiting | null>;
  readonly error: Signal<string | null>;
  readonly jobId: Signal<string | null>;
  file: File | null;
  known: string | null;
  startedAt: number;
  controller: AbortController | null;
}

/** Files sent at once; a large one uses several connections by itself. */
const AT_ONCE = 2;
const MOST_FILES = 200;
const SHOW_EVERY_MS = 250;
const SAVE_EVERY_MS = 3000;

const SENDERS: Record<Method, Send> = {
  s3: sendForm,
  "s3-multipart": sendMultipart,
  tus: sendTus,
  api: sendThroughApi,
};

let counter = 0;

export const uploads = signal<readonly Upload[]>(saved.leftBehind().map(unfinished));

// A tab that crashed just now falls silent only while this page is open already.
setTimeout(() => {
  const here = new Set(uploads.value.map((one) => one.id));
  const more = saved.leftBehind().filter((one) => !here.has(one.id));
  if (more.length) uploads.value = [...uploads.value, ...more.map(unfinished)];
}, SILENCE_MS + 5000);

/** An upload of an earlier page, which waits for its file. */
function unfinished(one: SavedUpload): Upload {
  return {
    ...make(one, one.reading, one.method, "needs-file"),
    id: one.id,
    known: one.known,
    jobId: signal<string | null>(one.jobId),
    sent: signal(one.sent),
    startedAt: one.startedAt,
  };
}

function make(
  file: { name: string; size: number; lastModified: number },
  reading: Reading,
  method: Method,
  state: UploadState,
): Upload {
  return {
    id: `${Date.now().toString(36)}-${++counter}`,
    name: file.name,
    size: file.size,
    lastModified: file.lastModified,
    reading,
    method,
    state: signal<UploadState>(state),
    sent: signal(0),
    speed: signal<number | null>(null),
    waiting: signal<Waiting | null>(null),
    error: signal<string | null>(null),
    jobId: signal<string | null>(null),
    file: file instanceof File ? file : null,
    known: null,
    startedAt: Date.now(),
    controller: null,
  };
}

/** Takes files to upload. One that an unfinished upload waits for goes on there. */
export function addFiles(files: readonly File[], reading: Reading): void {
  const limits = config.value;
  if (!limits) return;
  const fresh: Upload[] = [];
  for (const file of files.slice(0, MOST_FILES)) {
    const waiting = uploads.value.find((one) => one.state.value === "needs-file" && isSameFile(one, file));
    if (waiting) {
      giveFile(waiting, file);
      continue;
    }
    const refusal = refusalOf(limits, file);
    const upload = make(file, reading, chooseMethod(limits, file.size), refusal ? "refused" : "waiting");
    upload.error.value = refusal;
    fresh.push(upload);
  }
  if (fresh.length) uploads.value = [...fresh, ...uploads.value].slice(0, 2 * MOST_FILES);
  for (const upload of fresh) if (upload.error.value) announce(`${upload.name}: ${upload.error.value}`);
  startNext();
}

/** Goes on with an upload of an earlier page. False, with the reason shown, if it is another file. */
export function giveFile(upload: Upload, file: File): boolean {
  if (!isSameFile(upload, file)) {
    const what = upload.name === file.name ? "a changed version of the file" : `“${file.name}”`;
    upload.error.value = `You chose ${what}. Choose “${upload.name}” as it was to go on, or cancel this upload.`;
    announce(upload.error.value);
    return false;
  }
  upload.file = file;
  upload.error.value = null;
  upload.state.value = "waiting";
  startNext();
  return true;
}

export function pauseUpload(upload: Upload): void {
  const { state, controller } = upload;
  if (state.value !== "sending" && state.value !== "waiting") return;
  state.value = "paused";
  upload.speed.value = null;
  upload.waiting.value = null;
  controller?.abort(new DOMException("paused", "AbortError"));
  startNext();
}

/** Goes on after a pause or a failure. */
export function resumeUpload(upload: Upload): void {
  if (upload.state.value !== "paused" && upload.state.value !== "failed") return;
  upload.error.value = null;
  upload.state.value = upload.file ? "waiting" : "needs-file";
  startNext();
}

/** Ends an upload, here at once and then on the server. */
export async function cancelUpload(upload: Upload): Promise<void> {
  const over = upload.state.value === "sent" || upload.state.value === "refused";
  forget(upload);
  upload.controller?.abort(new DOMException("cancelled", "AbortError"));
  startNext();
  if (!over) await tellServer(upload);
}

/** Takes an upload off the page. */
export function forget(upload: Upload): void {
  saved.remove(upload.id);
  uploads.value = uploads.value.filter((one) => one !== upload);
}

async function tellServer({ method, known, jobId }: Upload): Promise<void> {
  try {
    if (method === "s3-multipart" && known) await api.delete(`/uploads/${known}`);
    else if (method === "tus" && known) await request("DELETE", known, { headers: { "Tus-Resumable": "1.0.0" } });
    else if (jobId.value) await api.post(`/jobs/${jobId.value}/cancel`);
  } catch (error) {
    // Then the server's own sweep removes it. A job that is over already needs nothing.
    if (!(error instanceof ApiError)) throw error;
  }
}

function startNext(): void {
  const running = uploads.value.filter((one) => one.state.value === "sending").length;
  const waiting = uploads.value.filter((one) => one.state.value === "waiting").reverse();
  for (const upload of waiting.slice(0, Math.max(0, AT_ONCE - running))) void run(upload);
}

async function run(upload: Upload): Promise<void> {
  const limits = config.value;
  const { file } = upload;
  if (!limits || !file) return;
  const controller = new AbortController();
  upload.controller = controller;
  upload.state.value = "sending";
  const speed = new Speed();
  let shownAt = 0;
  let savedAt = 0;
  let quarter = Math.floor((4 * upload.sent.value) / upload.size);

  const save = () => {
    if (upload.known === null || !RESUMABLE.includes(upload.method) || !uploads.value.includes(upload)) return;
    const { id, method, known, name, size, lastModified, reading, startedAt } = upload;
    const jobId = upload.jobId.value ?? "";
    saved.put({ id, method, known, jobId, name, size, lastModified, reading, startedAt, sent: upload.sent.value });
  };
  const onProgress = (sent: number) => {
    if (controller.signal.aborted) return;
    const now = performance.now();
    speed.note(sent, now);
    if (now - shownAt < SHOW_EVERY_MS && sent < upload.size) return;
    shownAt = now;
    batch(() => {
      upload.sent.value = sent;
      upload.speed.value = speed.perSecond;
    });
    const reached = Math.floor((4 * sent) / upload.size);
    if (reached > quarter && reached < 4) announce(`${upload.name}: ${25 * reached} percent uploaded`);
    quarter = Math.max(quarter, reached);
    if (now - savedAt > SAVE_EVERY_MS) {
      savedAt = now;
      save();
    }
  };
  const onWaiting = (waiting: Waiting | null) => {
    if (controller.signal.aborted) return;
    if (waiting && !upload.waiting.value) announce(`${upload.name}: waiting for the network`);
    if (waiting) speed.reset();
    batch(() => {
      upload.waiting.value = waiting;
      if (waiting) upload.speed.value = null;
    });
  };
  const onCreated = (jobId: string, known: string | null) => {
    upload.jobId.value = jobId;
    upload.known = known;
    save();
  };

  try {
    const { reading, known } = upload;
    const { signal: aborted } = controller;
    const send = SENDERS[upload.method];
    await send({ file, reading, config: limits, signal: aborted, known, onCreated, onProgress, onWaiting });
    saved.remove(upload.id);
    batch(() => {
      upload.sent.value = upload.size;
      upload.state.value = "sent";
    });
    announce(`${upload.name}: uploaded. Reading begins.`);
  } catch (error) {
    // A pause or a cancellation has set the state already.
    if (controller.signal.aborted) return;
    batch(() => {
      upload.error.value = sentence(error);
      upload.state.value = "failed";
    });
    announce(`${upload.name}: the upload failed. ${sentence(error)}`);
  } finally {
    if (upload.controller === controller) {
      upload.waiting.value = null;
      upload.speed.value = null;
    }
    startNext();
  }
}

/** How far all running uploads together are, 0 to 1; null when none runs. */
export const overall = computed<number | null>(() => {
  const running = uploads.value.filter((one) => one.state.value === "sending" || one.state.value === "waiting");
  if (running.length === 0) return null;
  const total = running.reduce((sum, one) => sum + one.size, 0);
  return running.reduce((sum, one) => sum + one.sent.value, 0) / Math.max(1, total);
});

// Leaving the page now would stop something: the browser asks first.
addEventListener("beforeunload", (event) => {
  if (overall.peek() !== null) event.preventDefault();
});
