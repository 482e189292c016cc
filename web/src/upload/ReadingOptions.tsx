// How the next videos are to be read. Folded away: the defaults suit nearly everybody.
import { signal } from "@preact/signals";
import { config } from "../config";
import { PLAIN_READING, type Reading } from "./method";

export const reading = signal<Reading>(PLAIN_READING);

function set(change: Partial<Reading>): void {
  reading.value = { ...reading.value, ...change };
}

function summary({ frame_skip, min_confidence, region, delete_after_processing }: Reading): string {
  const parts = [
    frame_skip > 1 ? `every ${ordinal(frame_skip)} frame` : "every frame",
    min_confidence !== null ? `confidence from ${min_confidence}` : "",
    region ? `region ${region}` : "",
    delete_after_processing ? "video deleted afterwards" : "",
  ];
  return parts.filter(Boolean).join(", ");
}

function ordinal(number: number): string {
  if (number === 2) return "2nd";
  return number === 3 ? "3rd" : `${number}th`;
}

export function ReadingOptions() {
  const now = reading.value;
  const throughS3 = config.value?.s3_enabled ?? false;
  return (
    <details class="reading">
      <summary>
        <span>How to read</span>
        <span class="muted">{summary(now)}</span>
      </summary>
      <div class="reading-fields">
        <div class="field">
          <label for="frame-skip">Look at</label>
          <select id="frame-skip" class="input" value={now.frame_skip} onChange={(event) => set({ frame_skip: Number(event.currentTarget.value) })}>
            <option value={1}>every frame</option>
            {[2, 3, 5, 10].map((step) => (
              <option key={step} value={step}>
                every {ordinal(step)} frame
              </option>
            ))}
          </select>
          <p class="muted hint">More frames make readings surer; fewer make them faster.</p>
        </div>
        <div class="field">
          <label for="min-confidence">Least confidence</label>
          <input
            id="min-confidence"
            class="input"
            type="number"
            min="0"
            max="1"
            step="0.05"
            placeholder="the server's choice"
            defaultValue={now.min_confidence ?? ""}
            onInput={(event) => {
              const value = event.currentTarget.valueAsNumber;
              set({ min_confidence: Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : null });
            }}
          />
          <p class="muted hint">From 0 to 1. Plates below it are left out.</p>
        </div>
        <div class="field">
          <label for="region">Region</label>
          <input
            id="region"
            class="input"
            type="text"
            maxLength={11}
            autocomplete="off"
            placeholder="any"
            defaultValue={now.region ?? ""}
            pattern="[A-Za-z]{2}(-[A-Za-z0-9]{1,8})?"
            onInput={(event) => {
              const value = event.currentTarget.value.trim().toLowerCase();
              set({ region: /^[a-z]{2}(-[a-z0-9]{1,8})?$/.test(value) ? value : null });
            }}
          />
          <p class="muted hint">Where most plates come from, such as de, eu or us-ca.</p>
        </div>
        {throughS3 && (
          <label class="check reading-delete">
            <input
              type="checkbox"
              checked={now.delete_after_processing}
              onChange={(event) => set({ delete_after_processing: event.currentTarget.checked })}
            />
            <span>Delete the video when it has been read; plates and their pictures stay</span>
          </label>
        )}
      </div>
    </details>
  );
}
