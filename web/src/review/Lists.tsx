// The table of plates, and beside it those that were seen and not read.
import { count, counted, timecode } from "../format";
import { AboutHashes, isHash } from "../ui/PlateText";
import { Crop } from "./Crop";
import { PlateRow, ROW_HEIGHT } from "./PlateRow";
import { VirtualList } from "./VirtualList";
import { reasonInShort, reasonInWords } from "./confidence";
import { keyOf, keyOfUnread, type Order, type Review } from "./model";
import { MOST_PLATES } from "./plates";

const UNREAD_HEIGHT = 72;

export function PlateTable({ review }: { review: Review }) {
  const rows = review.rows.value;
  const all = review.list.plates.value.length;
  return (
    <section class="plates card" aria-labelledby="plates-title">
      <div class="plates-head">
        <h2 id="plates-title">
          Plates <span class="muted numbers">{rows.length === all ? count(all) : `${count(rows.length)} of ${count(all)}`}</span>
        </h2>
        <label class="plates-filter">
          <span class="visually-hidden">Show only plates with</span>
          <input
            class="input"
            type="search"
            placeholder="Filter"
            value={review.filter.value}
            onInput={(event) => {
              review.filter.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          <span class="visually-hidden">Order</span>
          <select
            class="input"
            value={review.order.value}
            onChange={(event) => {
              review.order.value = event.currentTarget.value as Order;
            }}
          >
            <option value="time">By time</option>
            <option value="doubt">Least sure first</option>
          </select>
        </label>
      </div>
      {review.list.plates.value.some((plate) => isHash(plate.text)) && <AboutHashes />}
      {rows.length > 0 ? (
        <VirtualList
          items={rows}
          rowHeight={ROW_HEIGHT}
          keyOf={keyOf}
          label="Plates; arrow keys go from one to the next"
          current={review.selected.value}
          reveal={review.selected.value}
          insist={review.chosen.value}
          onMove={(by) => review.move(by)}
        >
          {(plate, selected) => <PlateRow review={review} plate={plate} selected={selected} />}
        </VirtualList>
      ) : (
        <p class="plates-empty muted">{nothing(review, all)}</p>
      )}
      {review.list.cutOff.value && (
        <p class="plates-more small muted">Only the first {count(MOST_PLATES)} are shown here; the exports have them all.</p>
      )}
    </section>
  );
}

function nothing(review: Review, all: number): string {
  if (all) return "No plate matches the filter.";
  if (review.list.loading.value) return "Fetching the plates…";
  return review.list.live ? "Plates appear here as they are read." : "No plate was read in this video.";
}

export function UnreadList({ review }: { review: Review }) {
  const unread = review.list.unread.value;
  if (!unread.length) return null;
  return (
    <section class="unread card" aria-labelledby="unread-title">
      <div class="plates-head">
        <h2 id="unread-title">
          Not read <span class="muted numbers">{count(unread.length)}</span>
        </h2>
        <p class="small muted">{counted(unread.length, "plate was", "plates were")} seen, and nothing certain could be read.</p>
      </div>
      <VirtualList
        class="unread-rows"
        items={unread}
        rowHeight={UNREAD_HEIGHT}
        keyOf={keyOfUnread}
        label="Plates that were not read"
        current={review.selected.value}
        reveal={review.selected.value}
        insist={review.chosen.value}
        onMove={(by) => {
          const now = unread.findIndex((track) => keyOfUnread(track) === review.selected.value);
          const next = unread[Math.min(unread.length - 1, Math.max(0, now + by))];
          if (next) review.choose(keyOfUnread(next));
        }}
      >
        {(track, selected) => (
          <div class={`pass unread-pass ${selected ? "selected" : ""}`} onClick={() => review.choose(keyOfUnread(track))}>
            <button type="button" class="pass-jump" aria-label={`Show the plate that was not read at ${timecode(track.best.seconds)}: ${reasonInShort(track.reason)}`}>
              <Crop url={track.crop_url} height={44} />
            </button>
            <div class="pass-main">
              <p class="small unread-reason">{reasonInWords(track.reason)}</p>
              <p class="small muted numbers">
                {timecode(track.first_seen.seconds)}–{timecode(track.last_seen.seconds)} · {counted(track.observations, "frame")}
              </p>
            </div>
          </div>
        )}
      </VirtualList>
    </section>
  );
}
