// Numbers and times as people read them.

const DECIMALS = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en");

/** 87.4 MB, 187 MB, 5 TB; the API's megabyte is 1048576 bytes. */
export function bytes(count: number): string {
  if (count < 1024) return `${WHOLE.format(count)} B`;
  let value = count;
  for (const unit of ["KB", "MB", "GB", "TB"]) {
    value /= 1024;
    if (value < 99.95 && !Number.isInteger(value)) return `${DECIMALS.format(value)} ${unit}`;
    if (value < 1023.5 || unit === "TB") return `${WHOLE.format(Math.round(value))} ${unit}`;
  }
  return "";
}

export function count(number: number): string {
  return WHOLE.format(number);
}

/** "1 plate", "2 plates". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${WHOLE.format(number)} ${number === 1 ? one : many}`;
}

/** 9 s, 4 min 10 s, 2 h 5 min. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return minutes < 10 && whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

/** A place in a video: 1:04.2, 1:02:03.0. */
export function timecode(seconds: number, digits = 1): string {
  const scale = 10 ** digits;
  const units = Math.round(Math.max(0, seconds) * scale);
  const whole = Math.floor(units / scale);
  const rest = digits ? `.${String(units % scale).padStart(digits, "0")}` : "";
  const clock = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = clock[0] ? clock : clock.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":") + rest;
}

export function percent(share: number): string {
  return `${Math.floor(Math.min(1, Math.max(0, share)) * 100)} %`;
}

/** "14:03" today, "12 Mar, 14:03" this year, "12 Mar 2024, 14:03" before. */
export function moment(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (at.toDateString() === now.toDateString()) return new Intl.DateTimeFormat("en", time).format(at);
  const day: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
  if (at.getFullYear() !== now.getFullYear()) day.year = "numeric";
  return new Intl.DateTimeFormat("en-GB", { ...day, ...time }).format(at);
}
