// Where videos come in: a target for dragging, and a button for everybody else.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { config } from "../config";
import * as format from "../format";
import { Icon } from "../ui/Icon";
import { largest } from "./method";
import { addFiles } from "./uploads";
import { reading } from "./ReadingOptions";

export function DropZone({ large, extra }: { large: boolean; extra?: preact.ComponentChildren }) {
  const over = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const limits = config.value;
  const most = limits ? largest(limits) : 0;

  // The whole window takes what is dropped: missing the zone must not open the video instead.
  useEffect(() => {
    let depth = 0;
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      depth += 1;
      over.value = true;
    };
    const leave = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      depth = Math.max(0, depth - 1);
      over.value = depth > 0;
    };
    const allow = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    };
    const drop = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      over.value = false;
      addFiles([...(event.dataTransfer?.files ?? [])], reading.value);
    };
    addEventListener("dragenter", enter);
    addEventListener("dragleave", leave);
    addEventListener("dragover", allow);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragenter", enter);
      removeEventListener("dragleave", leave);
      removeEventListener("dragover", allow);
      removeEventListener("drop", drop);
    };
  }, []);

  return (
    <div class={`drop ${large ? "large" : ""}`} data-over={over.value}>
      <div class="drop-text">
        <p class="drop-title">Drop videos here</p>
        <p class="muted small">
          {limits ? `MP4, MOV, MKV, AVI and other video files, up to ${format.bytes(most)} each` : "Connecting to the server …"}
        </p>
      </div>
      <div class="drop-actions">
        <button type="button" class="button primary" disabled={!limits} onClick={() => input.current?.click()}>
          <Icon name="upload" />
          Choose videos
        </button>
        {extra}
      </div>
      <input
        ref={input}
        id="files"
        type="file"
        class="visually-hidden"
        tabIndex={-1}
        aria-hidden="true"
        multiple
        accept={["video/*", ...(limits?.video_extensions ?? []).map((name) => `.${name}`)].join(",")}
        onChange={(event) => {
          addFiles([...(event.currentTarget.files ?? [])], reading.value);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}
