// Figures as they are written. `locales/examples.json` holds them to those of the tray and the command line.

/** The language of the sentences, for the dates within them. */
export const LANGUAGE = "en";

/**
 * A decimal string of six places as a person reads it: two decimals from one unit upward, four below it, six below a
 * hundredth; never rounded up, and no zeros after the second decimal. Without the currency.
 */
export function money(amount: string): string {
  const [whole = "0", part = ""] = amount.split(".");
  const micros = Number(whole.replace("-", "")) * 1_000_000 + Number(part.padEnd(6, "0"));
  const decimals = micros >= 1_000_000 ? 2 : micros >= 10_000 ? 4 : 6;
  const cut = part.padEnd(6, "0").slice(0, decimals).replace(/0+$/, "");
  return `${whole}.${cut.padEnd(2, "0")}`;
}

/** The two largest units, rounded down: `1 h 12 min`, `35 min`, `4 s`. */
export function duration(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const two = (big: number, unit: string, small: number, less: string) =>
    small ? `${big} ${unit} ${small} ${less}` : `${big} ${unit}`;
  if (days) return two(days, "d", hours % 24, "h");
  if (hours) return two(hours, "h", minutes % 60, "min");
  return minutes ? `${minutes} min` : `${seconds} s`;
}

/** Bytes as gigabytes: one decimal below a hundred, none where it is whole. */
export function gigabytes(bytes: number): string {
  const size = bytes / 2 ** 30;
  return size >= 100 ? size.toFixed(0) : size.toFixed(1).replace(/\.0$/, "");
}

/** Bits per second as megabits: one decimal below ten. */
export function megabits(bits: number): string {
  const rate = bits / 1_000_000;
  return rate >= 10 ? rate.toFixed(0) : rate.toFixed(1).replace(/\.0$/, "");
}

/** `22:05`, or `2026-11-24 22:05` on another day than today, by this PC's time zone. */
export function clock(at: number, now: number = Date.now()): string {
  const [then, today] = [new Date(at), new Date(now)];
  const two = (value: number) => String(value).padStart(2, "0");
  const time = `${two(then.getHours())}:${two(then.getMinutes())}`;
  return date(at) === date(today.getTime()) ? time : `${date(at)} ${time}`;
}

/** `2026-11-24`. */
export function date(at: number): string {
  const then = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
}

/** A decimal string of up to six places as millionths. */
export function millionths(amount: string): bigint {
  const [whole = "0", part = ""] = amount.replace("-", "").split(".");
  const value = BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, "0").slice(0, 6));
  return amount.startsWith("-") ? -value : value;
}

/** Millionths as a decimal string of six places. */
export function written(value: bigint): string {
  const digits = String(value < 0n ? -value : value).padStart(7, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -6)}.${digits.slice(-6)}`;
}

/** Exactly: amounts never pass through a floating number. */
export const sum = (amounts: string[]): string =>
  written(amounts.reduce((total, amount) => total + millionths(amount), 0n));

/** `08:30 – 13:55`, `Nov 24, 23:10 – Nov 25, 02:40`: with the day where it is not today, and only once where both are of one. */
export function between(from: number, to: number, now: number = Date.now()): string {
  const end = date(from) === date(to) ? clock(to, to) : moment(to, now);
  return `${moment(from, now)} – ${end}`;
}

/** `22:05`, or `Nov 24, 22:05` on another day than today: for what is not a year old. */
export function moment(at: number, now: number = Date.now()): string {
  if (date(at) === date(now)) return clock(at, at);
  return `${dayOf(at)}, ${clock(at, at)}`;
}

// Made once, a formatter is too slow to be made for every row. It knows no time zone: `Date` says which day it is.
const day = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", timeZone: "UTC" });

/** `Nov 24`. */
export function dayOf(at: number): string {
  const then = new Date(at);
  return day.format(Date.UTC(then.getFullYear(), then.getMonth(), then.getDate()));
}
