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
  /** The tab that sends it, and when it last said so. */
  tab: string;
  touchedAt: number;
}

/** So long without a word from its tab, an upload is taken for left behind. */
export const SILENCE_MS = 30_000;

const KEY = "detect-api.uploads";
const TAB_KEY = "detect-api.tab";
const MOST = 100;
const LONGEST_MS = 7 * 24 * 3600 * 1000;

/** This tab's name: the same after a reload, another one in another tab. */
const TAB = tabName();

function tabName(): string {
  const fresh = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  try {
    const known = sessionStorage.getItem(TAB_KEY) ?? fresh;
    sessionStorage.setItem(TAB_KEY, known);
    return known;
  } catch {
    return fresh;
  }
}

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
  /** Uploads that nobody sends: of this tab before its reload, or of a tab that fell silent. */
  leftBehind(): SavedUpload[] {
    return read().filter((one) => one.tab === TAB || Date.now() - one.touchedAt > SILENCE_MS);
  },
  put(upload: Omit<SavedUpload, "tab" | "touchedAt">): void {
    write([...read().filter((one) => one.id !== upload.id), { ...upload, tab: TAB, touchedAt: Date.now() }]);
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
