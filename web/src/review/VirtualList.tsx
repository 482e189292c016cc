// A list of any length of which only the rows in sight are in the page.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

const BEYOND = 6;

interface VirtualListProps<T> {
  items: readonly T[];
  rowHeight: number;
  keyOf: (item: T) => string;
  label: string;
  class?: string;
  /** The row that stays in the page wherever one scrolls, since it may have the focus. */
  current: string | null;
  /** Changes when the current row is to be scrolled to. */
  reveal: unknown;
  /** Whether it is to be scrolled to also while a person is busy in the list. */
  insist: unknown;
  onMove: (by: 1 | -1) => void;
  children: (item: T, selected: boolean) => ComponentChildren;
}

export function VirtualList<T>(props: VirtualListProps<T>) {
  const { items, rowHeight, keyOf, current } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const insisted = useRef(props.insist);
  const focusNext = useRef(false);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);

  const places = useMemo(() => new Map(items.map((item, index) => [keyOf(item), index])), [items]);
  const at = current === null ? -1 : (places.get(current) ?? -1);

  useEffect(() => {
    const element = box.current;
    const insist = insisted.current !== props.insist;
    insisted.current = props.insist;
    if (!element || at < 0) return;
    if (focusNext.current) {
      focusNext.current = false;
      element.querySelector<HTMLElement>('[aria-current="true"] .pass-jump')?.focus({ preventScroll: true });
    }
    if (!insist && (element.matches(":hover") || element.contains(document.activeElement))) return;
    const top = at * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + rowHeight - element.clientHeight;
    }
  }, [props.reveal, props.insist, at]);

  // A row that moves within the page loses the focus, and the keys would lead nowhere.
  const active = document.activeElement;
  const held = active instanceof HTMLElement && box.current?.contains(active) ? active : null;
  useLayoutEffect(() => {
    if (held?.isConnected && document.activeElement === document.body) held.focus({ preventScroll: true });
  });

  const first = Math.max(0, Math.floor(view.top / rowHeight) - BEYOND);
  const end = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + BEYOND);
  const shown: number[] = [];
  if (at >= 0 && at < first) shown.push(at);
  for (let i = first; i < end; i++) shown.push(i);
  if (at >= end) shown.push(at);

  return (
    <div
      ref={box}
      class={`virtual ${props.class ?? ""}`}
      tabIndex={items.length ? 0 : undefined}
      role="group"
      aria-label={props.label}
      onKeyDown={(event) => {
        if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
        if (event.target instanceof HTMLInputElement || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        event.stopPropagation();
        focusNext.current = true;
        props.onMove(event.key === "ArrowDown" ? 1 : -1);
      }}
    >
      <div class="virtual-rows" role="list" style={{ height: `${items.length * rowHeight}px` }}>
        {shown.map((index) => {
          const item = items[index] as T;
          const key = keyOf(item);
          return (
            <div
              key={key}
              class="virtual-row"
              role="listitem"
              aria-setsize={items.length}
              aria-posinset={index + 1}
              aria-current={index === at ? "true" : undefined}
              style={{ transform: `translateY(${index * rowHeight}px)`, height: `${rowHeight}px` }}
            >
              {props.children(item, index === at)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
