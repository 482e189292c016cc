// The API's bodies, as docs/API.md describes them.

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
}

export type JobStatus =
  | "awaiting_upload"
  | "uploading"
  | "uploaded"
  | "pending"
  | "processing"
  | "completed"
  | "failed"
  | "cancelled"
  | "expired";

export type JobType = "upload" | "video" | "image";

export interface Job {
  job_id: string;
  type: JobType;
  status: JobStatus;
  progress: number;
  message: string;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  error: { code: string; detail: string } | null;
  parameters: Record<string, unknown>;
  plates_found: number;
  frames: { done: number; total: number };
  problems: string[];
  attempt: number;
  filename: string | null;
  file_size: number | null;
  s3_key: string | null;
  processing_job_id?: string | null;
  expires_at?: string | null;
  upload?: {
    bytes_received: number;
    bytes_total: number | null;
    bytes_per_second: number | null;
    eta_seconds: number | null;
  } | null;
  eta_seconds?: number | null;
  result_url?: string | null;
}

export interface JobList {
  jobs: Job[];
  next_cursor: string | null;
}

export interface Deleted {
  job_id: string;
  deleted: { plates: number; unread_tracks: number; video: string | null; pictures: string | null };
}

export interface Moment {
  frame: number;
  seconds: number;
}

export interface BoundingBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export interface Best extends Moment {
  bbox: BoundingBox;
  detection_confidence: number;
}

export interface Candidate {
  text: string;
  confidence: number;
}

export interface Plate {
  plate_id: string;
  job_id?: string | null;
  text: string;
  confidence: number;
  candidates: Candidate[];
  characters: { char: string; confidence: number }[];
  region?: string | null;
  first_seen: Moment;
  last_seen: Moment;
  observations: number;
  direction?: string | null;
  best: Best;
  crop_url: string;
  frame_url: string;
  correction?: { machine_text: string; by: string | null; at: string } | null;
}

export interface PlateList {
  plates: Plate[];
  next_cursor: string | null;
}

export interface UnreadTrack {
  track_id: number;
  first_seen: Moment;
  last_seen: Moment;
  observations: number;
  reason: string;
  best: Best;
  crop_url: string;
}

/** What a client has to know before it uploads; fields that older servers lack are optional. */
export interface Config {
  version: string;
  s3_enabled: boolean;
  s3_detail: string | null;
  upload_methods: ("s3" | "s3-multipart" | "api" | "tus")[];
  max_file_size: number;
  max_multipart_size?: number;
  multipart_threshold?: number;
  tus_url?: string;
  sample_available?: boolean;
  plates_hashed?: boolean;
  chunk_size: number;
  upload_timeout_seconds: number;
  upload_expiration_seconds: number;
  video_extensions: string[];
  image_extensions: string[];
}

export interface JobCreated {
  job_id: string;
  status: JobStatus;
  message: string;
  status_url: string;
}
