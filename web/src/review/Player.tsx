// The video with what was found drawn over it in step with its frames, and the controls to go
// through it. Where a browser cannot play the video, the pictures that prove the plates instead.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, address, request } from "../api";
import { timecode } from "../format";
import { Icon } from "../ui/Icon";
import { spoken } from "../ui/PlateText";
import type { Review } from "./model";
import { Overlay } from "./overlay";
import type { Shown, Track } from "./tracks";

export const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4];

/** Why the browser shows no video. */
async function whyNot(review: Review): Promise<{ why: string; again: boolean }> {
  try {
    // The redirect to storage is not followed: that the API gives one is answer enough.
    const path = `/jobs/${review.jobId}/video`;
    const answer = await fetch(address(path), { redirect: "manual", headers: { Range: "bytes=0-0" } });
    if (!answer.ok && answer.type !== "opaqueredirect") await request("GET", path);
  } catch (error) {
    const known = error instanceof ApiError && !error.offline;
    return { why: known ? error.detail : "The video does not load: the server does not answer.", again: !known || error.passing };
  }
  const { container, codec } = review.tracks.picture ?? {};
  const kind = [container?.split(",")[0]?.toUpperCase(), codec?.toUpperCase()].filter(Boolean).join(" with ");
  return { why: `This browser cannot play the video${kind ? ` (${kind})` : ""}. Every plate was read all the same.`, again: false };
}

export function Player({ review }: { review: Review }) {
  return (
    <section class="player" aria-label="Video">
      <Stage review={review} />
      <Controls review={review} />
    </section>
  );
}

function Stage({ review }: { review: Review }) {
  const stage = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  const plain = review.unplayable.value;

  useLayoutEffect(() => {
    const element = svg.current;
    if (!element || !stage.current) return;
    const overlay = new Overlay(element, (key) => review.choose(key));
    review.redraw = () => {
      const playing = video.current;
      const picture = review.tracks.picture;
      const width = playing?.videoWidth || picture?.width;
      const height = playing?.videoHeight || picture?.height;
      if (!width || !height) return;
      const shown = playing ? review.tracks.at(review.time.peek()) : pictured(review);
      if (stage.current) {
        stage.current.style.aspectRatio = `${width} / ${height}`;
        stage.current.dataset["shown"] = String(shown.length);
      }
      overlay.draw(shown, review.selected.peek(), width, height);
      if (review.playing.peek()) review.follow(shown);
    };
    const observer = new ResizeObserver(([entry]) => {
      if (entry) overlay.size = entry.contentRect;
      review.redraw();
    });
    observer.observe(element);
    const unsubscribe = review.selected.subscribe(() => review.redraw());
    review.redraw();
    return () => {
      unsubscribe();
      observer.disconnect();
      review.redraw = () => {};
      element.replaceChildren();
    };
  }, [review, plain]);

  useEffect(() => {
    const element = video.current;
    return element ? drive(element, review) : undefined;
  }, [review, plain]);

  return (
    <>
      <div class={`stage ${plain ? "still" : ""}`} ref={stage}>
        {plain ? (
          <Still review={review} />
        ) : (
          // Traffic has nothing to say, and a page that suddenly roars helps nobody: no sound.
          <video
            ref={video}
            src={address(`/jobs/${review.jobId}/video`)}
            preload="auto"
            muted
            playsInline
            disablePictureInPicture
            tabIndex={-1}
            onClick={() => review.player?.toggle()}
          />
        )}
        <svg ref={svg} class="overlay" preserveAspectRatio="xMidYMid meet" aria-hidden="true" />
      </div>
      {plain && (
        <p class="notice" role="status">
          <Icon name="film" />
          <span>
            {plain.why} Select a plate to see the very frame that it was read from.
          </span>
          {plain.again && (
            <button
              type="button"
              class="button"
              onClick={() => {
                review.unplayable.value = null;
              }}
            >
              Try again
            </button>
          )}
        </p>
      )}
    </>
  );
}

/** Connects a video element to the review; returns what disconnects it. */
function drive(video: HTMLVideoElement, review: Review): () => void {
  const stopped = new AbortController();
  const { signal } = stopped;
  let recovered = 0;
  // Where the picture will be: a key that is held down asks faster than the video moves.
  let asked = 0;
  let callback = 0;
  let raf = 0;
  const frame = () => 1 / review.tracks.fps;

  const showAt = (seconds: number) => {
    review.time.value = seconds;
    review.redraw();
  };
  // The time of the very frame on the screen, where the browser tells it.
  const framewise = "requestVideoFrameCallback" in HTMLVideoElement.prototype;
  const onFrame: VideoFrameRequestCallback = (_now, { mediaTime }) => {
    showAt(mediaTime);
    callback = video.requestVideoFrameCallback(onFrame);
  };
  const onTick = () => {
    showAt(video.currentTime);
    if (!video.paused) raf = requestAnimationFrame(onTick);
  };
  if (framewise) callback = video.requestVideoFrameCallback(onFrame);

  const on = (name: keyof HTMLMediaElementEventMap, what: () => void) => video.addEventListener(name, what, { signal });
  on("loadedmetadata", () => {
    if (Number.isFinite(video.duration)) review.length.value = video.duration;
    video.playbackRate = review.speed.peek();
    // A moment that was asked for before there was a video.
    if (review.time.peek() > 0) review.player?.seek(review.time.peek());
  });
  on("play", () => {
    review.playing.value = true;
    if (!framewise) raf = requestAnimationFrame(onTick);
  });
  on("pause", () => {
    review.playing.value = false;
  });
  on("seeked", () => {
    if (!framewise) showAt(video.currentTime);
  });
  on("error", () => {
    const now = performance.now();
    if (video.readyState > 0 && now - recovered > 10_000) {
      // A signed address runs out while a page stays open: the API gives a new one.
      recovered = now;
      const playing = !video.paused;
      video.load();
      if (playing) void video.play().catch(() => {});
      return;
    }
    void whyNot(review).then((why) => {
      if (!signal.aborted) review.unplayable.value = why;
    });
  });

  review.player = {
    seek(seconds) {
      asked = seconds;
      // Into the middle of the frame, so that rounding does not show the one before.
      if (video.readyState > 0) video.currentTime = Math.min(seconds + frame() / 2, video.duration || seconds);
    },
    toggle() {
      if (video.paused) void video.play().catch(() => {});
      else video.pause();
    },
    step(frames) {
      video.pause();
      const next = (video.seeking ? asked : review.time.peek()) + frames * frame();
      if (next > -frame() / 2) this.seek(Math.max(0, next));
    },
  };
  const unsubscribe = review.speed.subscribe((speed) => {
    video.playbackRate = speed;
  });
  return () => {
    stopped.abort();
    unsubscribe();
    review.player = null;
    review.playing.value = false;
    if (framewise) video.cancelVideoFrameCallback(callback);
    cancelAnimationFrame(raf);
    // Lets go of the connection to storage.
    video.removeAttribute("src");
    video.load();
  };
}

/** The plate whose picture is shown in place of the video, with its box. */
function pictured(review: Review): Shown[] {
  const key = review.selected.peek();
  const found = review.plate(key) ?? review.unreadTrack(key);
  if (!found) return [];
  const { bbox } = found.best;
  const plate = "plate_id" in found ? found : null;
  const track: Track = {
    track_id: "track_id" in found ? found.track_id : 0,
    plate_id: plate?.plate_id ?? null,
    text: plate?.text ?? null,
    confidence: plate?.confidence ?? null,
    reason: null,
    first_seen: found.first_seen,
    last_seen: found.last_seen,
    frames: [],
    seconds: [],
    boxes: [],
    thinned: false,
  };
  return plate ? [{ track, box: [bbox.x1, bbox.y1, bbox.x2, bbox.y2] }] : [];
}

function Still({ review }: { review: Review }) {
  const key = review.selected.value;
  const plate = review.plate(key);
  const unread = review.unreadTrack(key);
  const [missing, setMissing] = useState<string | null>(null);
  useEffect(() => {
    const found = plate ?? unread;
    if (found) review.time.value = found.best.seconds;
    // Without a video the first plate is what there is to see.
    const first = review.list.plates.value[0];
    if (!found && first) review.selected.value = `p${first.plate_id}`;
    review.redraw();
  });
  if ((plate?.frame_url ?? unread?.crop_url) === missing && missing) return <p class="still-empty">No picture of it is kept.</p>;
  if (plate) {
    return (
      <img
        class="still-picture"
        src={address(plate.frame_url)}
        alt={`The frame in which ${spoken(plate.text)} was read, at ${timecode(plate.best.seconds)}`}
        onLoad={() => review.redraw()}
        onError={() => setMissing(plate.frame_url)}
      />
    );
  }
  if (unread) return <img class="still-picture small-crop" src={address(unread.crop_url)} alt="The plate that was not read" onError={() => setMissing(unread.crop_url)} />;
  return <p class="still-empty">No picture yet.</p>;
}

function Controls({ review }: { review: Review }) {
  const playable = review.unplayable.value === null;
  const playing = review.playing.value;
  return (
    <div class="controls" role="group" aria-label="Playback">
      <button type="button" class="button quiet icon-only" aria-label="Plate before (left bracket)" title="Plate before  [" onClick={() => review.move(-1)}>
        <span class="flip">
          <Icon name="chevron" />
        </span>
      </button>
      {playable && (
        <>
          <button type="button" class="button quiet step" title="Frame back  ," onClick={() => review.player?.step(-1)}>
            −1<span class="visually-hidden"> frame (comma)</span>
          </button>
          <button
            type="button"
            class="button primary icon-only"
            aria-label={playing ? "Pause (space)" : "Play (space)"}
            title={playing ? "Pause  space" : "Play  space"}
            onClick={() => review.player?.toggle()}
          >
            <Icon name={playing ? "pause" : "play"} />
          </button>
          <button type="button" class="button quiet step" title="Frame on  ." onClick={() => review.player?.step(1)}>
            +1<span class="visually-hidden"> frame (full stop)</span>
          </button>
        </>
      )}
      <button type="button" class="button quiet icon-only" aria-label="Next plate (right bracket)" title="Next plate  ]" onClick={() => review.move(1)}>
        <Icon name="chevron" />
      </button>
      <Clock review={review} />
      {playable && (
        <label class="speed">
          <span class="visually-hidden">Speed</span>
          <select
            class="input"
            value={String(review.speed.value)}
            onChange={(event) => {
              review.speed.value = Number(event.currentTarget.value);
            }}
          >
            {SPEEDS.map((speed) => (
              <option key={speed} value={String(speed)}>
                {speed}×
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

function Clock({ review }: { review: Review }) {
  const seconds = review.time.value;
  return (
    <span class="clock numbers">
      <b>{timecode(seconds, 2)}</b>
      <span class="muted"> / {timecode(review.length.value)}</span>
    </span>
  );
}
