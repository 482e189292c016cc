// One job of the list.
import { useSignal } from "@preact/signals";
import { sentence } from "../api";
import * as format from "../format";
import { link } from "../router";
import type { Job } from "../types";
import { Icon } from "../ui/Icon";
import { DeleteDialog } from "./DeleteDialog";
import { cancelJob, retryJob } from "./jobs";
import { canRetry, hasPlates, isActive, isWorking, STATUS_NAMES, tone } from "./status";

/** What is going on with a job, in one line. */
export function jobLine(job: Job): string {
  const parts: string[] = [];
  if (job.status === "processing") {
    if (job.frames.total) parts.push(`${format.count(job.frames.done)} of ${format.counted(job.frames.total, "frame")}`);
    if (job.eta_seconds) parts.push(`${format.duration(job.eta_seconds)} left`);
  } else if (job.status === "completed") {
    parts.push(format.counted(job.frames.total || job.frames.done, "frame"));
    if (job.started_at && job.completed_at) {
      const took = (Date.parse(job.completed_at) - Date.parse(job.started_at)) / 1000;
      parts.push(`read in ${format.duration(Math.max(1, took))}`);
    }
  } else if (job.status !== "failed") {
    parts.push(job.message.replace(/\.$/, ""));
  }
  if (job.file_size && job.status !== "uploading") parts.unshift(format.bytes(job.file_size));
  parts.push(format.moment(job.created_at));
  return parts.join(" · ");
}

/** State, plates so far and, while it runs, the bar. */
export function JobProgress({ job }: { job: Job }) {
  return (
    <>
      <div class="row-state">
        {hasPlates(job) && (
          <span class="row-plates numbers">
            <strong>{format.count(job.plates_found)}</strong> {job.plates_found === 1 ? "plate" : "plates"}
          </span>
        )}
        <span class={`tag ${tone(job)}`}>{STATUS_NAMES[job.status]}</span>
      </div>
      {isWorking(job) && (
        <div
          class="bar row-bar"
          role="progressbar"
          aria-label={`Progress of ${job.filename ?? "the job"}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(100 * job.progress)}
        >
          <i style={{ transform: `scaleX(${job.progress})` }} />
        </div>
      )}
      {job.error && <p class="row-error">{capital(job.error.detail)}</p>}
    </>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function JobRow({ job }: { job: Job }) {
  const name = job.filename ?? `${job.type} ${job.job_id.slice(0, 8)}`;
  const asking = useSignal(false);
  const busy = useSignal(false);
  const error = useSignal<string | null>(null);

  async function act(action: (job: Job) => Promise<void>): Promise<void> {
    busy.value = true;
    error.value = null;
    try {
      await action(job);
    } catch (failure) {
      error.value = sentence(failure);
    } finally {
      busy.value = false;
    }
  }

  return (
    <li class="row" data-state={job.status} data-job={job.job_id}>
      <div class="row-main">
        <p class="row-name">{job.type === "upload" ? name : <a href={link.review(job.job_id)}>{name}</a>}</p>
        <p class="row-line numbers">{jobLine(job)}</p>
      </div>
      <JobProgress job={job} />
      <div class="row-actions">
        {isActive(job) && (
          <button type="button" class="button quiet icon-only" title="Cancel" aria-label={`Cancel ${name}`} disabled={busy.value} onClick={() => void act(cancelJob)}>
            <Icon name="close" />
          </button>
        )}
        {canRetry(job) && (
          <button type="button" class="button quiet icon-only" title="Start again" aria-label={`Start ${name} again`} disabled={busy.value} onClick={() => void act(retryJob)}>
            <Icon name="retry" />
          </button>
        )}
        <button
          type="button"
          class="button quiet icon-only"
          title="Delete"
          aria-label={`Delete ${name}`}
          onClick={() => {
            asking.value = true;
          }}
        >
          <Icon name="trash" />
        </button>
      </div>
      {error.value && (
        <p class="row-error" role="alert">
          {error.value}
        </p>
      )}
      {asking.value && (
        <DeleteDialog
          job={job}
          name={name}
          onClose={() => {
            asking.value = false;
          }}
        />
      )}
    </li>
  );
}
