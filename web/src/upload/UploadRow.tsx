// One upload: what it is, how far it is, and what can be done with it. When the file is there it
// becomes the row of its job.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, ApiError } from "../api";
import * as format from "../format";
import { JobProgress, jobLine } from "../jobs/JobRow";
import { refresh } from "../jobs/jobs";
import { FINISHED } from "../jobs/status";
import { link } from "../router";
import type { Job } from "../types";
import { Icon } from "../ui/Icon";
import { RESUMABLE } from "./method";
import { cancelUpload, forget, giveFile, pauseUpload, resumeUpload, type Upload } from "./uploads";

const ASK_MS = 1500;

const LABELS = {
  "needs-file": "Unfinished",
  waiting: "Queued",
  sending: "Uploading",
  paused: "Paused",
  sent: "Uploaded",
  failed: "Stopped",
  refused: "Not uploaded",
} as const;

function lineOf(upload: Upload): string {
  const state = upload.state.value;
  const sent = upload.sent.value;
  const of = `${format.bytes(sent)} of ${format.bytes(upload.size)}`;
  if (state === "refused") return format.bytes(upload.size);
  if (state === "waiting") return sent ? `${of} · waits for its turn` : `${format.bytes(upload.size)} · waits for its turn`;
  if (state === "paused" && !RESUMABLE.includes(upload.method)) return `${of} · starts again from the beginning`;
  if (state !== "sending") return of;
  if (upload.waiting.value) return `${of} · ${upload.waiting.value.offline ? "waiting for the network" : "trying again"}`;
  if (sent >= upload.size) return `${of} · finishing`;
  const speed = upload.speed.value;
  if (!speed) return of;
  return `${of} · ${format.bytes(speed)}/s · ${format.duration((upload.size - sent) / speed)} left`;
}

/**
 * The job that an upload turned into, as it is now. Asked for, not streamed: it is for a moment,
 * until the list shows the job, and a browser has few connections for many uploads.
 */
function useJob(upload: Upload) {
  const job = useSignal<Job | null>(null);
  const jobId = upload.state.value === "sent" ? upload.jobId.value : null;
  useEffect(() => {
    if (jobId === null) return;
    let timer: ReturnType<typeof setTimeout>;
    const left = new AbortController();
    const ask = async () => {
      try {
        job.value = await api.get<Job>(`/jobs/${jobId}`, { signal: left.signal });
        if (FINISHED.includes(job.value.status)) return;
      } catch (error) {
        if (left.signal.aborted) return;
        if (error instanceof ApiError && error.status === 404) return forget(upload);
      }
      timer = setTimeout(() => void ask(), ASK_MS);
    };
    void ask();
    return () => {
      left.abort();
      clearTimeout(timer);
    };
  }, [jobId]);
  return job;
}

/** `reading` holds the ids of the jobs that the list shows: it takes over from here. */
export function UploadRow({ upload, reading }: { upload: Upload; reading: ReadonlySet<string> }) {
  const state = upload.state.value;
  const job = useJob(upload);
  const own = upload.jobId.value;
  const successor = job.value?.processing_job_id ?? (job.value && job.value.type !== "upload" ? own : null);
  const listed = successor !== null && reading.has(successor);
  useEffect(() => {
    if (listed) forget(upload);
    else if (successor !== null) void refresh();
  }, [listed, successor]);
  if (state === "sent" && job.value) return <SentRow upload={upload} job={job.value} />;
  const share = upload.size ? upload.sent.value / upload.size : 0;
  const stopped = state === "failed" || state === "refused";
  const moving = state === "sending" && !upload.waiting.value;
  const tone = stopped ? "bad" : upload.waiting.value ? "warn" : state === "needs-file" ? "warn" : moving ? "active" : "";
  return (
    <li class="row" data-state={state}>
      <div class="row-main">
        <p class="row-name">{upload.name}</p>
        <p class="row-line numbers">{lineOf(upload)}</p>
      </div>
      <div class="row-state">
        <span class={`tag ${tone}`}>{upload.waiting.value ? "Waiting" : LABELS[state]}</span>
      </div>
      <div class="row-actions">
        <UploadActions upload={upload} />
      </div>
      {state !== "refused" && (
        <div
          class={`bar row-bar ${moving || state === "sent" ? "" : "still"}`}
          role="progressbar"
          aria-label={`Upload of ${upload.name}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(100 * share)}
        >
          <i style={{ transform: `scaleX(${share})` }} />
        </div>
      )}
      {upload.error.value && <p class="row-error">{upload.error.value}</p>}
      {state === "needs-file" && !upload.error.value && (
        <p class="row-hint">The page was closed while this was uploading. Choose the file again to go on.</p>
      )}
    </li>
  );
}

/** A row that goes takes its buttons with it: the focus must not be lost with them. */
function focusList(): void {
  document.getElementById("videos-title")?.focus();
}

function UploadActions({ upload }: { upload: Upload }) {
  const state = upload.state.value;
  const running = state === "sending" || state === "waiting";
  const input = useRef<HTMLInputElement>(null);
  const named = (action: string) => `${action} ${upload.name}`;
  return (
    <>
      {(running || state === "paused") && (
        // One button in both states: the focus stays on it.
        <button
          type="button"
          class="button quiet icon-only"
          title={running ? "Pause" : "Resume"}
          aria-label={named(running ? "Pause" : "Resume")}
          onClick={() => (running ? pauseUpload(upload) : resumeUpload(upload))}
        >
          <Icon name={running ? "pause" : "play"} />
        </button>
      )}
      {state === "failed" && (
        <button type="button" class="button quiet icon-only" title="Try again" aria-label={named("Try again with")} onClick={() => resumeUpload(upload)}>
          <Icon name="retry" />
        </button>
      )}
      {(state === "needs-file" || state === "failed") && (
        <>
          <button type="button" class="button" aria-label={named("Choose the file again:")} onClick={() => input.current?.click()}>
            Choose the file
          </button>
          <input
            ref={input}
            type="file"
            class="visually-hidden"
            tabIndex={-1}
            aria-hidden="true"
            data-upload={upload.id}
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              if (file) giveFile(upload, file);
              event.currentTarget.value = "";
            }}
          />
        </>
      )}
      {state !== "sent" && (
        <button
          type="button"
          class="button quiet icon-only"
          title={state === "refused" ? "Dismiss" : "Cancel"}
          aria-label={named(state === "refused" ? "Dismiss" : "Cancel the upload of")}
          onClick={() => {
            void cancelUpload(upload).then(refresh);
            focusList();
          }}
        >
          <Icon name="close" />
        </button>
      )}
    </>
  );
}

function SentRow({ upload, job }: { upload: Upload; job: Job }) {
  const target = useComputed(() => job.processing_job_id ?? job.job_id);
  return (
    <li class="row" data-state="sent" data-job={target.value}>
      <div class="row-main">
        <p class="row-name">
          <a href={link.review(target.value)}>{upload.name}</a>
        </p>
        <p class="row-line numbers">{jobLine(job)}</p>
      </div>
      <JobProgress job={job} />
      <div class="row-actions">
        {FINISHED.includes(job.status) && (
          <button type="button" class="button quiet icon-only" title="Dismiss" aria-label={`Dismiss ${upload.name}`} onClick={() => {
              forget(upload);
              focusList();
            }}>
            <Icon name="close" />
          </button>
        )}
      </div>
    </li>
  );
}
