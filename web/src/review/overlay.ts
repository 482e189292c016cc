// Boxes and texts over the picture. An SVG in the video's own pixels, which scales as
// `object-fit: contain` does; its elements are kept and moved, since this runs for every frame.
import { inShort } from "../ui/PlateText";
import { levelOf } from "./confidence";
import type { Key } from "./model";
import type { Shown } from "./tracks";

const NS = "http://www.w3.org/2000/svg";
/** Size of the texts in pixels of the screen, whatever the video's size. */
const TEXT = 13;

interface Mark {
  group: SVGGElement;
  frame: SVGRectElement;
  ground: SVGRectElement;
  text: SVGTextElement;
}

export class Overlay {
  private marks: Mark[] = [];
  /** On the screen; told, since to ask for it in every frame makes the browser lay out anew. */
  size = { width: 0, height: 0 };

  constructor(
    private readonly svg: SVGSVGElement,
    private readonly choose: (key: Key) => void,
  ) {}

  /** Shows these plates and no others. Width and height are the video's. */
  draw(shown: readonly Shown[], selected: Key | null, width: number, height: number): void {
    const view = `0 0 ${width} ${height}`;
    if (this.svg.getAttribute("viewBox") !== view) this.svg.setAttribute("viewBox", view);
    // Pixels of the video in one pixel of the screen.
    const scale = Math.max(width / Math.max(1, this.size.width), height / Math.max(1, this.size.height));
    while (this.marks.length < shown.length) this.marks.push(this.add());
    this.marks.forEach((mark, i) => {
      const item = shown[i];
      mark.group.style.display = item ? "" : "none";
      if (item) place(mark, item, selected, scale, width);
    });
  }

  private add(): Mark {
    const group = document.createElementNS(NS, "g");
    const frame = document.createElementNS(NS, "rect");
    const ground = document.createElementNS(NS, "rect");
    const text = document.createElementNS(NS, "text");
    ground.setAttribute("class", "mark-ground");
    frame.setAttribute("class", "mark-frame");
    group.append(frame, ground, text);
    group.addEventListener("click", (event) => {
      event.stopPropagation();
      const key = group.dataset["key"];
      if (key) this.choose(key);
    });
    this.svg.append(group);
    return { group, frame, ground, text };
  }
}

function place(mark: Mark, { track, box }: Shown, selected: Key | null, scale: number, width: number): void {
  const [x1, y1, x2, y2] = box;
  const key = track.plate_id ? `p${track.plate_id}` : `u${track.track_id}`;
  const level = track.confidence === null ? "unread" : levelOf(track.confidence);
  mark.group.setAttribute("class", `mark ${level}${key === selected ? " selected" : ""}`);
  mark.group.dataset["key"] = key;
  set(mark.frame, { x: x1, y: y1, width: x2 - x1, height: y2 - y1, rx: 2 * scale });
  const words = track.text === null ? "not read" : inShort(track.text);
  if (mark.text.textContent !== words) mark.text.textContent = words;
  const size = TEXT * scale;
  const wide = (words.length * 0.66 + 0.9) * size;
  const tall = 1.5 * size;
  const left = Math.min(Math.max(0, x1 - scale), Math.max(0, width - wide));
  const top = y1 - tall - 2 * scale >= 0 ? y1 - tall - 2 * scale : y2 + 2 * scale;
  set(mark.ground, { x: left, y: top, width: wide, height: tall, rx: 3 * scale });
  set(mark.text, { x: left + wide / 2, y: top + 1.1 * size, "font-size": size });
}

function set(element: SVGElement, values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value.toFixed(2));
}
