// Where the page is, kept in the address' hash: #/ upload and jobs, #/jobs/{id} review, #/search.
import { signal } from "@preact/signals";

export type Route =
  | { view: "home"; query: URLSearchParams }
  | { view: "review"; jobId: string; query: URLSearchParams }
  | { view: "search"; query: URLSearchParams }
  | { view: "unknown"; query: URLSearchParams };

/** The route that a hash names. */
export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#/, "").split("?", 2);
  const query = new URLSearchParams(search);
  const steps = path.split("/").filter(Boolean).map(decodeOrKeep);
  if (steps.length === 0) return { view: "home", query };
  if (steps.length === 2 && steps[0] === "jobs" && steps[1]) return { view: "review", jobId: steps[1], query };
  if (steps.length === 1 && steps[0] === "search") return { view: "search", query };
  return { view: "unknown", query };
}

function decodeOrKeep(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

export const route = signal<Route>(parseRoute(location.hash));

addEventListener("hashchange", () => {
  route.value = parseRoute(location.hash);
});

function withQuery(path: string, query?: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return search ? `${path}?${search}` : path;
}

/** Addresses within the page, for `href`. */
export const link = {
  home: (query?: Record<string, string | null | undefined>) => withQuery("#/", query),
  /** A job's review; `t` is the moment to show in seconds, `plate` the plate to select. */
  review: (jobId: string, query?: { t?: number; plate?: string }) => withQuery(`#/jobs/${encodeURIComponent(jobId)}`, query),
  search: (query?: Record<string, string | null | undefined>) => withQuery("#/search", query),
};

/** Goes to an address made by `link`; `replace` leaves no step in the history. */
export function go(to: string, { replace = false }: { replace?: boolean } = {}): void {
  if (!replace) {
    location.hash = to;
    return;
  }
  history.replaceState(null, "", to);
  route.value = parseRoute(to);
}
