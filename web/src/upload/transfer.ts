// What every way of sending a file has in common.
import type { Config } from "../types";
import type { Reading } from "./method";
import type { Waiting } from "./persist";

export interface Transfer {
  file: File;
  reading: Reading;
  config: Config;
  /** Aborted to pause or to cancel. */
  signal: AbortSignal;
  /** The upload as an earlier attempt or an earlier page left it; null to begin. */
  known: string | null;
  /** Called once the server knows the upload: its job, and what finds it again, if anything does. */
  onCreated: (jobId: string, known: string | null) => void;
  /** Bytes that have left. May fall: a broken part is sent again. */
  onProgress: (sent: number) => void;
  onWaiting: (waiting: Waiting | null) => void;
}

/**
 * Sends a file whole; resolves when the server has it and will read it. Throws ApiError when it
 * cannot, and the signal's reason when that is aborted.
 */
export type Send = (transfer: Transfer) => Promise<void>;

/** Fields for a request body: those that are set. */
export function readingFields(reading: Reading): Record<string, string | number | boolean> {
  return Object.fromEntries(
    Object.entries(reading).filter(([, value]) => value !== null && value !== "" && value !== false),
  ) as Record<string, string | number | boolean>;
}

/** Throws a plain sentence if the file can no longer be read: it was moved, changed or unplugged. */
export async function checkReadable(file: File): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("The file was changed, moved or unplugged: choose it again.");
  }
}
