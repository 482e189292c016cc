// Line icons, 20 x 20, drawn in the text's colour. They are decoration: what they stand beside or
// within carries the words.
const PATHS = {
  upload: "M10 13V3.5M6 7l4-3.8L14 7M3.5 13v2.2c0 .8.6 1.3 1.3 1.3h10.4c.7 0 1.3-.5 1.3-1.3V13",
  pause: "M7 4.5v11M13 4.5v11",
  play: "M6.5 4.2v11.6l9-5.8z",
  retry: "M15.8 8A6.2 6.2 0 1 0 16 11.6M16 4v4h-4",
  close: "M5 5l10 10M15 5L5 15",
  trash: "M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10M8.4 9v4.5M11.6 9v4.5",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l4 4",
  chevron: "M7.5 4.5L13 10l-5.5 5.5",
  down: "M4.5 7.5L10 13l5.5-5.5",
  warning: "M10 3.2L17.4 16H2.6zM10 8v4M10 14.1v.1",
  check: "M4 10.5l4 4 8-9",
  sun: "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM10 1.8v1.6M10 16.6v1.6M1.8 10h1.6M16.6 10h1.6M4.2 4.2l1.1 1.1M14.7 14.7l1.1 1.1M4.2 15.8l1.1-1.1M14.7 5.3l1.1-1.1",
  moon: "M16.5 11.8A6.8 6.8 0 0 1 8.2 3.5a6.8 6.8 0 1 0 8.3 8.3z",
  system: "M3 4.5h14v9H3zM7 16.5h6",
  film: "M3 4.5h14v11H3zM6.5 4.5v11M13.5 4.5v11M3 8h3.5M3 12h3.5M13.5 8H17M13.5 12H17",
  download: "M10 3.5V13M6 9.5l4 3.8 4-3.8M3.5 16.5h13",
  edit: "M4 16l.8-3.4 8.4-8.4 2.6 2.6-8.4 8.4z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
