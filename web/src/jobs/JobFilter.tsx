// Narrows the list of jobs.
import { useEffect, useRef } from "preact/hooks";
import { filter, type Filter } from "./jobs";

const TYPING_MS = 250;

function set(change: Partial<Filter>): void {
  filter.value = { ...filter.value, ...change };
}

export function JobFilter() {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const now = filter.value;
  return (
    <form class="filter" role="search" aria-label="Videos" onSubmit={(event) => event.preventDefault()}>
      <label class="visually-hidden" for="filter-name">
        Name contains
      </label>
      <input
        id="filter-name"
        class="input"
        type="search"
        placeholder="Name"
        maxLength={100}
        autocomplete="off"
        defaultValue={now.name}
        onInput={(event) => {
          const name = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => set({ name }), TYPING_MS);
        }}
      />
      <label class="visually-hidden" for="filter-state">
        State
      </label>
      <select id="filter-state" class="input" value={now.state} onChange={(event) => set({ state: event.currentTarget.value as Filter["state"] })}>
        <option value="">All states</option>
        <option value="active">In progress</option>
        <option value="completed">Done</option>
        <option value="failed">Failed or cancelled</option>
      </select>
      <label class="visually-hidden" for="filter-type">
        Type
      </label>
      <select id="filter-type" class="input" value={now.type} onChange={(event) => set({ type: event.currentTarget.value as Filter["type"] })}>
        <option value="">All types</option>
        <option value="video">Videos</option>
        <option value="image">Images</option>
        <option value="upload">Uploads</option>
      </select>
    </form>
  );
}
