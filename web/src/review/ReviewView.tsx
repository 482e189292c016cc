// A job's video and its plates: look, jump, correct.
import { useEffect, useMemo } from "preact/hooks";
import { address } from "../api";
import { counted } from "../format";
import { link } from "../router";
import type { JobStatus } from "../types";
import { Icon } from "../ui/Icon";
import { PlateTable, UnreadList } from "./Lists";
import { Player } from "./Player";
import { Timeline } from "./Timeline";
import { KEYS, onKey } from "./keys";
import { Review } from "./model";
import "./review.css";

interface ReviewProps {
  jobId: string;
  query: URLSearchParams;
}

const WORDS: Record<JobStatus, { words: string; kind: string }> = {
  awaiting_upload: { words: "waiting for the upload", kind: "" },
  uploading: { words: "uploading", kind: "active" },
  uploaded: { words: "uploaded", kind: "" },
  pending: { words: "waiting", kind: "active" },
  processing: { words: "reading", kind: "active" },
  completed: { words: "done", kind: "good" },
  failed: { words: "failed", kind: "bad" },
  cancelled: { words: "cancelled", kind: "" },
  expired: { words: "expired", kind: "" },
};

export default function ReviewView({ jobId, query }: ReviewProps) {
  const review = useMemo(() => new Review(jobId), [jobId]);
  useEffect(() => {
    review.start();
    const pressed = (event: KeyboardEvent) => onKey(review, event);
    addEventListener("keydown", pressed);
    return () => {
      removeEventListener("keydown", pressed);
      review.stop();
    };
  }, [review]);

  const moment = query.get("t");
  const plate = query.get("plate");
  useEffect(() => {
    if (plate) review.choose(`p${plate}`, moment ? Number(moment) : undefined);
    else if (moment && Number.isFinite(Number(moment))) review.seek(Number(moment));
  }, [review, moment, plate]);

  // A picture is not played.
  const job = review.list.job.value;
  useEffect(() => {
    if (job?.type === "image") review.unplayable.value = { why: "This is a single picture.", again: false };
  }, [review, job?.type]);

  const error = review.list.error.value;
  if (error && !job) {
    return (
      <section class="empty">
        <h1 tabIndex={-1}>This job cannot be shown</h1>
        <p>{error}</p>
        <p>
          <a href={link.home()}>Back to the videos</a>
        </p>
      </section>
    );
  }
  const arriving = job?.status === "awaiting_upload" || job?.status === "uploading" || job?.status === "expired";
  return (
    <div class="review">
      <Head review={review} />
      {error && (
        <p class="notice bad" role="alert">
          <span>{error}</span>
          <button type="button" class="button quiet" onClick={() => void review.list.start()}>
            Try again
          </button>
        </p>
      )}
      {job && !arriving && (
        <div class="review-grid">
          <div class="review-left">
            <Player review={review} />
            <Timeline review={review} />
          </div>
          <PlateTable review={review} />
          <div class="review-below">
            <UnreadList review={review} />
            <Keys />
          </div>
        </div>
      )}
      {job && arriving && <p class="notice">{job.message}</p>}
    </div>
  );
}

function Head({ review }: { review: Review }) {
  const job = review.list.job.value;
  const state = job ? WORDS[job.status] : null;
  const running = review.list.live;
  return (
    <header class="review-head">
      <a class="back small" href={link.home()}>
        Videos
      </a>
      <div class="review-title">
        <h1 tabIndex={-1}>{job?.filename ?? "Review"}</h1>
        {state && <span class={`tag ${state.kind}`}>{state.words}</span>}
      </div>
      <div class="review-actions">
        <a class="button" href={address(`/jobs/${review.jobId}/plates.csv`)} download>
          <Icon name="download" />
          CSV
        </a>
        <a class="button" href={address(`/jobs/${review.jobId}/plates.jsonl`)} download>
          <Icon name="download" />
          JSONL
        </a>
      </div>
      {running && job && (
        <div class="review-progress">
          <div class="bar" role="progressbar" aria-label="Progress" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(job.progress * 100)}>
            <i style={{ transform: `scaleX(${job.progress})` }} />
          </div>
          <p class="small muted numbers">{job.message}</p>
        </div>
      )}
      {job?.error && (
        <p class="notice bad review-error">
          <Icon name="warning" />
          <span>
            {job.error.detail}
            {job.plates_found > 0 && ` What was read before is here: ${counted(job.plates_found, "plate")}.`}
          </span>
        </p>
      )}
    </header>
  );
}

function Keys() {
  return (
    <details class="keys small">
      <summary>Keys</summary>
      <dl>
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd class="muted">{what}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
