// Trying again: with a back-off, at once when the network is back, and not for ever.
import { ApiError } from "../api";

/** Attempts in a row without a byte of progress, after which a person is asked. */
const ATTEMPTS = 12;
const FIRST_MS = 500;
const LONGEST_MS = 30_000;

export interface Waiting {
  /** What went wrong, for a person. */
  detail: string;
  /** Whether the browser itself says that there is no network. */
  offline: boolean;
}

interface PersistOptions {
  signal: AbortSignal;
  /** Called with why it waits, and with null when it goes on. */
  onWaiting?: ((waiting: Waiting | null) => void) | undefined;
  /** A number that grows while anything succeeds: progress makes the attempts count anew. */
  progress?: () => number;
}

/**
 * Runs `attempt` until it succeeds. Errors that may pass (no connection, 5xx, 429) are waited
 * out; all others, and too many in a row without progress, are thrown. While the browser is
 * offline nothing is tried and nothing counted: a person sees it and can cancel.
 */
export async function persist<T>(attempt: () => Promise<T>, options: PersistOptions): Promise<T> {
  const { signal, onWaiting, progress = () => 0 } = options;
  let failures = 0;
  let before = progress();
  for (;;) {
    signal.throwIfAborted();
    try {
      const result = await attempt();
      onWaiting?.(null);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError) || !error.passing) throw error;
      if (progress() > before) failures = 0;
      before = progress();
      failures += 1;
      if (failures > ATTEMPTS) throw error;
      onWaiting?.({ detail: error.detail, offline: !navigator.onLine });
      if (navigator.onLine) await pause(backOff(failures, error.retryAfter), signal);
      while (!navigator.onLine) {
        failures = 0;
        onWaiting?.({ detail: "There is no network.", offline: true });
        await pause(LONGEST_MS, signal);
      }
      onWaiting?.(null);
    }
  }
}

function backOff(failures: number, retryAfter: number | null): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
  const jittered = longest * (0.5 + Math.random() / 2);
  return Math.max(jittered, Math.min(LONGEST_MS, (retryAfter ?? 0) * 1000));
}

/** Waits; shorter when the network comes back. Throws when the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => () => {
      clearTimeout(timer);
      removeEventListener("online", online);
      signal.removeEventListener("abort", aborted);
      settle();
    };
    const online = done(resolve);
    const aborted = done(() => reject(signal.reason));
    const timer = setTimeout(online, milliseconds);
    addEventListener("online", online);
    signal.addEventListener("abort", aborted);
  });
}
