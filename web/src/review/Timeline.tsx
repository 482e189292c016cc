// The whole video on one line: a mark for each plate, its colour the confidence; those that were
// not read in a lane of their own.
import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { counted, timecode } from "../format";
import { theme } from "../theme";
import { inShort } from "../ui/PlateText";
import { levelOf, reasonInShort, sureness } from "./confidence";
import { keyOf, keyOfUnread, type Key, type Review } from "./model";

const NEAR = 7;
const LANE = 0.68;

interface Mark {
  key: Key;
  seconds: number;
  words: string;
}

/** The colours as they are now; a custom property itself does not tell which theme counts. */
function colours(within: HTMLElement): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of ["good", "warn", "bad", "ink-2", "line"]) {
    // A new element each time: a colour that changes may do so gradually.
    const probe = document.createElement("i");
    probe.style.color = `var(--${name})`;
    within.append(probe);
    found[name] = getComputedStyle(probe).color;
    probe.remove();
  }
  return found;
}

export function Timeline({ review }: { review: Review }) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const head = useRef<HTMLDivElement>(null);
  const [hint, setHint] = useState<{ x: number; words: string } | null>(null);
  const plates = review.list.plates.value;
  const unread = review.list.unread.value;
  const length = review.length.value;
  const selected = review.selected.value;
  const [width, setWidth] = useState(0);
  const [dark, setDark] = useState(0);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setDark((n) => n + 1);
    query.addEventListener("change", changed);
    const moved = effect(() => {
      const share = review.length.value ? review.time.value / review.length.value : 0;
      if (head.current) head.current.style.left = `calc(${Math.min(1, share) * 100}% - 1px)`;
    });
    return () => {
      observer.disconnect();
      query.removeEventListener("change", changed);
      moved();
    };
  }, [review, width]);

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || !box.current || !width || !length) return;
    const height = element.clientHeight;
    const density = devicePixelRatio || 1;
    element.width = Math.round(width * density);
    element.height = Math.round(height * density);
    context.scale(density, density);
    const colour = colours(box.current);
    const x = (seconds: number) => Math.min(width - 1, Math.max(1, (seconds / length) * width));
    const upper = Math.round(height * LANE);
    const bar = (from: number, to: number, top: number, tall: number, alpha: number) => {
      context.globalAlpha = alpha;
      context.fillRect(x(from), top, Math.max(2, x(to) - x(from)), tall);
    };
    let now = "";
    context.fillStyle = colour["line"] ?? "";
    context.fillRect(0, upper, width, 1);
    for (const plate of [...plates].sort((a, b) => b.confidence - a.confidence)) {
      // The least sure last, so that a crowd does not hide them.
      const wanted = colour[levelOf(plate.confidence)] ?? "";
      if (wanted !== now) context.fillStyle = now = wanted;
      bar(plate.first_seen.seconds, plate.last_seen.seconds, upper - 7, 4, 0.4);
      bar(plate.best.seconds, plate.best.seconds, 5, upper - 8, 1);
    }
    context.fillStyle = colour["ink-2"] ?? "";
    for (const track of unread) {
      bar(track.first_seen.seconds, track.last_seen.seconds, upper + 6, 3, 0.35);
      context.globalAlpha = 1;
      context.fillRect(x(track.best.seconds) - 1.5, upper + 6, 3, 3);
    }
  }, [plates, unread, length, width, dark, theme.value]);

  const chosen = review.plate(selected) ?? review.unreadTrack(selected);
  const share = (seconds: number) => `${Math.min(100, (seconds / (length || 1)) * 100)}%`;

  const secondsAt = (event: MouseEvent) => {
    const rect = box.current?.getBoundingClientRect();
    return rect && rect.width ? ((event.clientX - rect.left) / rect.width) * length : 0;
  };

  const nearest = (event: MouseEvent): Mark | null => {
    const rect = box.current?.getBoundingClientRect();
    if (!rect || !length) return null;
    const seconds = secondsAt(event);
    const within = (NEAR / Math.max(1, rect.width)) * length;
    const lower = (event.clientY - rect.top) / rect.height > LANE;
    const list = lower ? unread : plates;
    let best: (typeof list)[number] | null = null;
    for (const item of list) {
      const off = Math.abs(item.best.seconds - seconds);
      if (off <= within && (!best || off < Math.abs(best.best.seconds - seconds))) best = item;
    }
    if (!best) return null;
    if ("plate_id" in best) return { key: keyOf(best), seconds: best.best.seconds, words: `${inShort(best.text)} · ${sureness(best.confidence)}` };
    return { key: keyOfUnread(best), seconds: best.best.seconds, words: `not read: ${reasonInShort(best.reason)}` };
  };

  return (
    <div
      ref={box}
      class="timeline"
      role="slider"
      tabIndex={0}
      aria-label="Place in the video"
      aria-valuemin={0}
      aria-valuemax={Math.round(length * 10) / 10}
      aria-valuenow={Math.round(review.time.value * 10) / 10}
      aria-valuetext={`${timecode(review.time.value)} of ${timecode(length)}`}
      aria-describedby="timeline-words"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        const mark = nearest(event);
        if (mark) {
          review.choose(mark.key);
          return;
        }
        event.currentTarget.setPointerCapture(event.pointerId);
        review.seek(secondsAt(event));
      }}
      onPointerMove={(event) => {
        const rect = event.currentTarget.getBoundingClientRect();
        if (event.currentTarget.hasPointerCapture(event.pointerId)) review.seek(secondsAt(event));
        const mark = nearest(event);
        setHint({ x: event.clientX - rect.left, words: mark ? `${timecode(mark.seconds)} · ${mark.words}` : timecode(secondsAt(event)) });
      }}
      onPointerLeave={() => setHint(null)}
      onKeyDown={(event) => {
        const now = review.time.value;
        const to: Record<string, number> = {
          ArrowRight: now + 1,
          ArrowUp: now + 1,
          ArrowLeft: now - 1,
          ArrowDown: now - 1,
          PageUp: now + 10,
          PageDown: now - 10,
          Home: 0,
          End: length,
        };
        const seconds = to[event.key];
        if (seconds === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        review.seek(seconds);
      }}
    >
      <canvas ref={canvas} aria-hidden="true" />
      {chosen && length > 0 && (
        <div
          class={`chosen ${"plate_id" in chosen ? "" : "lower"}`}
          aria-hidden="true"
          style={{
            left: share(chosen.first_seen.seconds),
            width: share(chosen.last_seen.seconds - chosen.first_seen.seconds),
          }}
        />
      )}
      <div ref={head} class="playhead" aria-hidden="true" />
      {hint && (
        <span class="timeline-hint numbers" aria-hidden="true" style={{ left: `${Math.min(Math.max(hint.x, 70), Math.max(70, width - 70))}px` }}>
          {hint.words}
        </span>
      )}
      <span id="timeline-words" class="visually-hidden">
        {counted(plates.length, "plate")} read, {unread.length} not read. Arrow keys move by a second; the keys [ and ] go from plate to plate.
      </span>
    </div>
  );
}
