// Words and colours for a job's state.
import type { Job, JobStatus } from "../types";

export const FINISHED: readonly JobStatus[] = ["completed", "failed", "cancelled", "expired"];
export const STATUS_NAMES: Record<JobStatus, string> = {
  awaiting_upload: "Awaiting upload",
  uploading: "Uploading",
  uploaded: "Uploaded",
  pending: "Waiting",
  processing: "Reading",
  completed: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Expired",
};

export type Tone = "good" | "warn" | "bad" | "active" | "";

export function tone(job: Job): Tone {
  switch (job.status) {
    case "completed":
      return job.problems.length ? "warn" : "good";
    case "failed":
      return "bad";
    case "cancelled":
    case "expired":
    case "awaiting_upload":
      return "";
    default:
      return "active";
  }
}

export function isActive(job: Job): boolean {
  return !FINISHED.includes(job.status);
}

/** Whether a worker has it or will have it: then its progress is worth following live. */
export function isWorking(job: Job): boolean {
  return job.status === "pending" || job.status === "processing" || job.status === "uploading";
}

export function canRetry(job: Job): boolean {
  return (job.status === "failed" || job.status === "cancelled") && job.type !== "upload";
}

export function hasPlates(job: Job): boolean {
  return job.plates_found > 0 || job.status === "completed";
}
