// Plates across all jobs: part of a text, a pattern, or a text with wrong letters.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, api, sentence } from "../api";
import { config, loadConfig } from "../config";
import { counted, moment, timecode } from "../format";
import { blank } from "../review/Crop";
import { Confidence } from "../review/confidence";
import { go, link } from "../router";
import type { Job, Plate, PlateList } from "../types";
import { announce } from "../ui/announce";
import { Icon } from "../ui/Icon";
import { AboutHashes, inFull, inShort, isHash } from "../ui/PlateText";
import { parted } from "./differences";
import "./search.css";

const PAGE = 50;

interface Asked {
  text: string;
  fuzzy: number;
  from: string;
  to: string;
}

function askedIn(query: URLSearchParams): Asked {
  const fuzzy = Number(query.get("fuzzy"));
  return {
    text: query.get("text") ?? "",
    fuzzy: fuzzy === 1 || fuzzy === 2 ? fuzzy : 0,
    from: query.get("from") ?? "",
    to: query.get("to") ?? "",
  };
}

/** The start of a day here, or of the one after, as the API takes times. */
function dayStart(day: string, after = 0): string | null {
  const [year, month, date] = day.split("-").map(Number);
  if (!year || !month || !date) return null;
  const start = new Date(year, month - 1, date + after);
  return Number.isNaN(start.getTime()) ? null : start.toISOString();
}

const isPattern = (text: string) => /[?*]/.test(text);

export default function SearchView({ query }: { query: URLSearchParams }) {
  const asked = askedIn(query);
  const place = query.toString();
  const [found, setFound] = useState<Plate[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (!config.value) void loadConfig();
  }, []);
  const jobs = useJobs(found ?? []);
  const running = useRef<AbortController | null>(null);

  const fetchPage = async (cursor: string | null) => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    setError(null);
    try {
      const page = await api.get<PlateList>("/plates", {
        query: {
          text: asked.text.trim(),
          fuzzy: asked.fuzzy && !isPattern(asked.text) && !config.value?.plates_hashed ? asked.fuzzy : null,
          from: dayStart(asked.from),
          to: dayStart(asked.to, 1),
          cursor,
          limit: PAGE,
        },
        signal: controller.signal,
      });
      setFound((before) => (cursor && before ? [...before, ...page.plates] : page.plates));
      setNext(page.next_cursor);
      if (!cursor) announce(page.next_cursor ? `More than ${PAGE} plates found.` : `${counted(page.plates.length, "plate")} found.`);
    } catch (problem) {
      if (controller.signal.aborted) return;
      setError(sentence(problem));
      if (!cursor) setFound(null);
    } finally {
      if (!controller.signal.aborted) setBusy(false);
    }
  };

  useEffect(() => {
    void fetchPage(null);
    return () => running.current?.abort();
  }, [place]);

  return (
    <section class="search">
      <h1 tabIndex={-1}>Search</h1>
      <Form key={place} asked={asked} />
      {error && (
        <p class="notice bad" role="alert">
          {error}
        </p>
      )}
      {found && (
        <>
          <p class="muted small search-count">{heading(asked, found.length, next !== null)}</p>
          {found.some((plate) => isHash(plate.text)) && <AboutHashes />}
          {found.length > 0 ? (
            <ul class="card results" aria-busy={busy}>
              {found.map((plate) => (
                <Result key={plate.plate_id} plate={plate} job={jobs.get(plate.job_id ?? "")} asked={asked} />
              ))}
            </ul>
          ) : (
            <Nothing asked={asked} />
          )}
          {next && (
            <button type="button" class="button search-more" disabled={busy} onClick={() => void fetchPage(next)}>
              Show more
            </button>
          )}
        </>
      )}
    </section>
  );
}

function heading(asked: Asked, shown: number, more: boolean): string {
  if (!asked.text && !asked.from && !asked.to) return shown ? "The latest plates of all videos" : "";
  return more ? `The first ${shown}, the latest first` : `${counted(shown, "plate")}, the latest first`;
}

function Form({ asked }: { asked: Asked }) {
  const [text, setText] = useState(asked.text);
  const [fuzzy, setFuzzy] = useState(asked.fuzzy);
  const [from, setFrom] = useState(asked.from);
  const [to, setTo] = useState(asked.to);
  const search = (change: Partial<Asked> = {}) => {
    const all = { text: text.trim(), fuzzy, from, to, ...change };
    go(link.search({ ...all, fuzzy: all.fuzzy ? String(all.fuzzy) : null }));
  };
  const pattern = isPattern(text);
  const hashed = config.value?.plates_hashed ?? false;
  return (
    <form
      class="search-form"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        search();
      }}
    >
      <div class="field search-text">
        <label for="search-text">Plate</label>
        <input
          id="search-text"
          class="input"
          type="search"
          value={text}
          maxLength={40}
          autocomplete="off"
          autocapitalize="characters"
          spellcheck={false}
          placeholder="AB12 CDE"
          aria-describedby="search-hint"
          onInput={(event) => setText(event.currentTarget.value.toUpperCase())}
        />
      </div>
      <div class="field search-fuzzy">
        <label for="search-fuzzy">Wrong letters</label>
        <select
          id="search-fuzzy"
          class="input"
          value={pattern || hashed ? "0" : String(fuzzy)}
          disabled={pattern || hashed}
          onChange={(event) => {
            const value = Number(event.currentTarget.value);
            setFuzzy(value);
            search({ fuzzy: value });
          }}
        >
          <option value="0">none</option>
          <option value="1">one</option>
          <option value="2">up to two</option>
        </select>
      </div>
      <div class="field">
        <label for="search-from">Read from</label>
        <input id="search-from" class="input" type="date" value={from} max={to || undefined} onChange={(event) => setFrom(event.currentTarget.value)} />
      </div>
      <div class="field">
        <label for="search-to">to</label>
        <input id="search-to" class="input" type="date" value={to} min={from || undefined} onChange={(event) => setTo(event.currentTarget.value)} />
      </div>
      <button type="submit" class="button primary">
        <Icon name="search" />
        Search
      </button>
      <p id="search-hint" class="small muted search-hint">
        {hashed ? (
          "Plates are kept as hashes here: a whole plate is found, not a part of one."
        ) : pattern ? (
          "? is one character, * any number of them; the pattern has to fit the whole plate."
        ) : fuzzy ? (
          "The whole plate, with that many letters wrong, missing or too many."
        ) : (
          <>
            Any part of a plate. <code>?</code> stands for one character and <code>*</code> for any number: <code>AB?2*</code>
          </>
        )}
      </p>
    </form>
  );
}

function Result({ plate, job, asked }: { plate: Plate; job: Job | null | undefined; asked: Asked }) {
  const to = link.review(plate.job_id ?? "", { t: plate.best.seconds, plate: plate.plate_id });
  const pieces = asked.fuzzy && !isPattern(asked.text) && !isHash(plate.text) ? parted(plate.text, asked.text) : [{ text: inShort(plate.text), other: false }];
  return (
    <li>
      <a class="result" href={to}>
        <img src={address(plate.crop_url)} alt="" width="112" height="56" loading="lazy" decoding="async" onError={blank} />
        <span class="result-text">
          <span class="plate" title={inFull(plate.text)}>
            {pieces.map((piece, i) => (piece.other ? <mark key={i}>{piece.text}</mark> : piece.text))}
          </span>
          {plate.correction ? <span class="tag active">by hand</span> : <Confidence value={plate.confidence} />}
        </span>
        <span class="result-where small">
          <span class="result-name">{job ? (job.filename ?? "picture") : job === null ? "deleted video" : "…"}</span>
          <span class="muted numbers">
            {timecode(plate.best.seconds)}
            {job && ` · ${moment(job.created_at)}`}
          </span>
        </span>
        <Icon name="chevron" />
      </a>
    </li>
  );
}

function Nothing({ asked }: { asked: Asked }) {
  if (!asked.text && !asked.from && !asked.to) return <p class="muted">No plate has been read yet.</p>;
  return (
    <div class="empty">
      <p>No plate fits.</p>
      {asked.text && !isPattern(asked.text) && asked.fuzzy < 2 && !config.value?.plates_hashed && (
        <a class="button" href={link.search({ ...asked, fuzzy: String(asked.fuzzy + 1) })}>
          Allow {asked.fuzzy ? "two wrong letters" : "a wrong letter"}
        </a>
      )}
    </div>
  );
}

/** The jobs that these plates belong to, each asked for once; null for one that is gone. */
function useJobs(plates: readonly Plate[]): ReadonlyMap<string, Job | null> {
  const [jobs, setJobs] = useState<ReadonlyMap<string, Job | null>>(new Map());
  const asked = useRef(new Set<string>());
  useEffect(() => {
    const wanted = new Set(plates.map((plate) => plate.job_id ?? ""));
    for (const id of wanted) {
      if (!id || asked.current.has(id)) continue;
      asked.current.add(id);
      api.get<Job>(`/jobs/${id}`).then(
        (job) => setJobs((before) => new Map(before).set(id, job)),
        () => setJobs((before) => new Map(before).set(id, null)),
      );
    }
  }, [plates]);
  return jobs;
}
