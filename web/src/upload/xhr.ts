// Sending bytes with progress. XMLHttpRequest, since fetch tells nothing of a body on its way.
import { ApiError } from "../api";
import type { Problem } from "../types";

/** A request on which no byte moved for so long is taken for dead. */
const STALL_MS = 60_000;

export interface Sent {
  status: number;
  text: string;
  header: (name: string) => string | null;
}

export interface SendOptions {
  method: "POST" | "PUT";
  url: string;
  body: Blob | FormData;
  headers?: Record<string, string>;
  signal: AbortSignal;
  /** Bytes of the body that have left so far. */
  onProgress?: (bytes: number) => void;
}

/**
 * Sends a body and gives the answer if it is a good one. Throws ApiError: status 0 when the
 * connection broke or stalled. Throws the signal's reason when it is aborted.
 */
export function send({ method, url, body, headers = {}, signal, onProgress }: SendOptions): Promise<Sent> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const xhr = new XMLHttpRequest();
    let watchdog: ReturnType<typeof setTimeout>;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => xhr.abort(), STALL_MS);
    };
    const abort = () => xhr.abort();
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => {
      alive();
      onProgress?.(event.loaded);
    };
    xhr.onprogress = alive;
    const broken = () =>
      signal.aborted
        ? reject(signal.reason)
        : reject(new ApiError(0, "connection_lost", "The connection was lost while sending."));
    xhr.onerror = broken;
    xhr.onabort = broken;
    xhr.onload = () => {
      const answer: Sent = {
        status: xhr.status,
        text: xhr.responseText,
        header: (name) => xhr.getResponseHeader(name),
      };
      if (xhr.status >= 200 && xhr.status < 300) resolve(answer);
      else reject(refusal(answer));
    };
    xhr.onloadend = () => {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort);
    alive();
    xhr.send(body);
  });
}

/** The error in an answer: our API's problem document, or S3's XML. */
function refusal({ status, text }: Sent): ApiError {
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.detail === "string") return new ApiError(status, problem.code, problem.detail, problem.request_id);
  } catch {
    // Not JSON: S3 answers in XML.
  }
  const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? "unknown";
  const message = /<Message>([^<]*)<\/Message>/.exec(text)?.[1];
  const said = message ? `: ${message.replace(/\.$/, "")}` : "";
  return new ApiError(status, code, `Storage refused the upload (${status} ${code})${said}.`);
}
