// Requests to the API. Every path that the API names ("/jobs/…") goes through `address`, so that
// the page also works under a path of a proxy.
import { signal } from "@preact/signals";
import type { Problem } from "./types";

/** True from the first answer that asks for a key until one was taken. */
export const keyNeeded = signal(false);

/** The API, or what stands before it, said no. `detail` is a sentence for a person. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly requestId: string | null = null,
    /** Seconds after which the server would like to be asked again. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
    this.name = "ApiError";
  }

  /** No answer came at all: the network or the server is away. */
  get offline(): boolean {
    return this.status === 0;
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return this.offline || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

export interface RequestOptions {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | null;
  /** Milliseconds until the request is given up; 30 s unless told. */
  timeout?: number;
}

/** The address of a path of the API, with a query. */
export function address(path: string, query: Query = {}): string {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  url.hash = "";
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
  }
  return url.href;
}

/** Sends a request and returns the response if it is a good one. Throws ApiError otherwise. */
export async function request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
  const { query, body, headers = {}, signal, timeout = 30_000 } = options;
  const signals = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
  const init: RequestInit = { method, signal: AbortSignal.any(signals), headers };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json", ...headers };
  }
  let response: Response;
  try {
    response = await fetch(address(path, query), init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "no_answer", "The server does not answer. Check the network; the page tries again.");
  }
  if (!response.ok && response.status !== 304) {
    const error = await errorOf(response);
    if (error.status === 401 && error.code === "key_needed") keyNeeded.value = true;
    throw error;
  }
  return response;
}

async function errorOf(response: Response): Promise<ApiError> {
  const after = Number(response.headers.get("Retry-After"));
  const retryAfter = Number.isFinite(after) && after > 0 ? after : null;
  try {
    const problem = (await response.json()) as Problem;
    if (typeof problem.detail === "string") {
      return new ApiError(response.status, problem.code, problem.detail, problem.request_id, retryAfter);
    }
  } catch {
    // Not ours: a proxy's page, say.
  }
  const detail = `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  return new ApiError(response.status, "unknown", detail, response.headers.get("X-Request-ID"), retryAfter);
}

async function json<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
  return (await (await request(method, path, options)).json()) as T;
}

export const api = {
  get: <T>(path: string, options?: RequestOptions) => json<T>("GET", path, options),
  post: <T>(path: string, body?: unknown, options?: RequestOptions) =>
    json<T>("POST", path, { ...options, body }),
  patch: <T>(path: string, body: unknown, options?: RequestOptions) =>
    json<T>("PATCH", path, { ...options, body }),
  delete: <T>(path: string, options?: RequestOptions) => json<T>("DELETE", path, options),
};

/** What a person is told of any error. */
export function sentence(error: unknown): string {
  if (error instanceof ApiError) return error.detail;
  return error instanceof Error ? error.message : String(error);
}
