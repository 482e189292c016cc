// One plate in the table: its picture, its text to be corrected in place, how sure it is and when
// it was seen.
import { useEffect, useRef, useState } from "preact/hooks";
import { timecode } from "../format";
import type { Plate } from "../types";
import { Icon } from "../ui/Icon";
import { inFull, inShort, isHash, spoken } from "../ui/PlateText";
import { Crop } from "./Crop";
import { Confidence, sureness } from "./confidence";
import { keyOf, type Review } from "./model";

export const ROW_HEIGHT = 84;

interface PlateRowProps {
  review: Review;
  plate: Plate;
  selected: boolean;
}

export function PlateRow({ review, plate, selected }: PlateRowProps) {
  const key = keyOf(plate);
  const editing = review.editing.value === plate.plate_id;
  const failure = review.failure.value?.plateId === plate.plate_id ? review.failure.value.detail : null;
  const machine = plate.correction && plate.correction.machine_text !== plate.text ? plate.correction.machine_text : null;
  const others = plate.candidates.filter((one) => one.text !== plate.text && one.text !== machine).slice(0, 2);
  const edit = () => {
    review.selected.value = key;
    review.failure.value = null;
    review.editing.value = plate.plate_id;
  };
  return (
    <div
      class={`pass ${selected ? "selected" : ""}`}
      onClick={(event) => {
        // Buttons within do their own thing.
        if (!(event.target as Element).closest("button, input, form")) review.choose(key);
      }}
      onKeyDown={(event) => {
        if (event.key !== "F2" && event.key !== "e") return;
        if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        edit();
      }}
    >
      <button
        type="button"
        class="pass-jump"
        aria-label={`Show ${spoken(plate.text)} at ${timecode(plate.best.seconds)}`}
        onClick={() => review.choose(key)}
      >
        <Crop url={plate.crop_url} height={56} />
      </button>
      <div class="pass-main">
        <div class="pass-line">
          {editing ? (
            <Correct review={review} plate={plate} />
          ) : (
            <>
              <span class="plate pass-text" title={inFull(plate.text)} onDblClick={edit}>
                {inShort(plate.text)}
              </span>
              <button type="button" class="button quiet icon-only pass-edit" aria-label={`Correct ${spoken(plate.text)}`} title="Correct  e" onClick={edit}>
                <Icon name="edit" />
              </button>
              {plate.correction ? <span class="tag active">by hand</span> : <Confidence value={plate.confidence} />}
            </>
          )}
        </div>
        {failure && !editing ? (
          <p class="pass-line failure small" role="alert">
            {failure}
          </p>
        ) : (
          <div class="pass-line small">
            <span class="numbers muted pass-times">
              <button type="button" class="time" aria-label={`First seen at ${timecode(plate.first_seen.seconds)}`} onClick={() => review.choose(key, plate.first_seen.seconds)}>
                {timecode(plate.first_seen.seconds)}
              </button>
              –
              <button type="button" class="time" aria-label={`Last seen at ${timecode(plate.last_seen.seconds)}`} onClick={() => review.choose(key, plate.last_seen.seconds)}>
                {timecode(plate.last_seen.seconds)}
              </button>
            </span>
            {machine && isHash(machine) && (
              <span class="muted" title={inFull(machine)}>
                read {inShort(machine)}
              </span>
            )}
            {machine && !isHash(machine) && (
              <button type="button" class="candidate machine" title="What the machine read: take it back" onClick={() => void review.correct(plate, machine)}>
                <span class="visually-hidden">Take back </span>read {machine}
              </button>
            )}
            {others.map((one) => (
              <button
                key={one.text}
                type="button"
                class="candidate"
                title={`Correct to ${one.text}: ${sureness(one.confidence)} likely`}
                onClick={() => void review.correct(plate, one.text)}
              >
                <span class="visually-hidden">Correct to </span>
                {one.text}
              </button>
            ))}
          </div>
        )}
      </div>
    </div>
  );
}

function Correct({ review, plate }: { review: Review; plate: Plate }) {
  const [text, setText] = useState(isHash(plate.text) ? "" : plate.text);
  const [busy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const failure = review.failure.value?.plateId === plate.plate_id ? review.failure.value.detail : null;
  useEffect(() => {
    input.current?.focus();
    input.current?.select();
  }, []);
  const close = () => {
    const row = input.current?.closest(".pass");
    review.editing.value = null;
    review.failure.value = null;
    // The focus stays at the row, for the keys that go on from there.
    requestAnimationFrame(() => row?.querySelector<HTMLElement>(".pass-jump")?.focus({ preventScroll: true }));
  };
  const save = async () => {
    if (busy) return;
    const wanted = text.trim().toUpperCase();
    if (wanted === plate.text || (!wanted && isHash(plate.text))) {
      close();
      return;
    }
    setBusy(true);
    const taken = await review.correct(plate, text);
    setBusy(false);
    if (taken) close();
    else input.current?.focus();
  };
  return (
    <form
      class="correct"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <input
        ref={input}
        class="plate correct-input"
        value={text}
        maxLength={32}
        autocomplete="off"
        autocapitalize="characters"
        spellcheck={false}
        aria-label={`Correct text of ${spoken(plate.text)}. Enter saves, Escape cancels.`}
        aria-invalid={failure ? "true" : undefined}
        title={failure ?? "Enter saves, Escape cancels"}
        readOnly={busy}
        onInput={(event) => setText(event.currentTarget.value.toUpperCase())}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Escape") {
            event.preventDefault();
            close();
          }
        }}
      />
      <button type="submit" class="button quiet icon-only pass-edit" aria-label="Save" disabled={busy}>
        <Icon name="check" />
      </button>
      <button type="button" class="button quiet icon-only pass-edit" aria-label="Cancel" onClick={close}>
        <Icon name="close" />
      </button>
      {failure && (
        <span class="failure small" role="alert">
          {failure}
        </span>
      )}
    </form>
  );
}
