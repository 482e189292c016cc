// Uploads that are not done, kept in the browser so that a reload or a crash loses nothing. The
// file itself cannot be kept: a person chooses it again, and what the server has is not sent anew.
import { RESUMABLE, type Method, type Reading } from "./method";

export interface SavedUpload {
  id: string;
  method: Method;
  /** What finds it again: an upload_id, or a tus address. */
  known: string;
  jobId: string;
  name: string;
  size: number;
  lastModified: number;
  sent: number;
  reading: Reading;
  startedAt: number;
}

const KEY = "detect-api.uploads";
const MOST = 100;
const LONGEST_MS = 7 * 24 * 3600 * 1000;

function read(): SavedUpload[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter(isSaved) : [];
  } catch {
    return [];
  }
}

function isSaved(value: SavedUpload | null): value is SavedUpload {
  return (
    typeof value?.id === "string" &&
    typeof value.known === "string" &&
    typeof value.name === "string" &&
    Number.isFinite(value.size) &&
    Date.now() - value.startedAt < LONGEST_MS &&
    RESUMABLE.includes(value.method)
  );
}

function write(uploads: SavedUpload[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(uploads.slice(-MOST)));
  } catch {
    // Storage is full or switched off: the upload goes on, only a reload would lose it.
  }
}

export const saved = {
  all: read,
  put(upload: SavedUpload): void {
    write([...read().filter((one) => one.id !== upload.id), upload]);
  },
  remove(id: string): void {
    const before = read();
    const after = before.filter((one) => one.id !== id);
    if (after.length < before.length) write(after);
  },
};

/** Whether a chosen file is the one that an upload was begun with. */
export function isSameFile(upload: { name: string; size: number; lastModified: number }, file: File): boolean {
  return upload.name === file.name && upload.size === file.size && upload.lastModified === file.lastModified;
}
