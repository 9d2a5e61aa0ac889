/** Statistics in a row of buckets without holes, as charts need them. */
import type { Bucket } from "../api/client";

export type Width = "minute" | "hour" | "day";
export const WIDTH_MS: Record<Width, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
export const RANGES = { hour: WIDTH_MS.hour, day: WIDTH_MS.day, week: 7 * WIDTH_MS.day, month: 30 * WIDTH_MS.day, year: 365 * WIDTH_MS.day } as const;
export type Range = keyof typeof RANGES;
/** The widths that a range can be cut into, the usual one first: a chart has at most 750 bars. */
export const WIDTHS: Record<Range, Width[]> = { hour: ["minute"], day: ["hour"], week: ["hour", "day"], month: ["day", "hour"], year: ["day"] };

export interface Span { from: number; to: number; width: Width }

/** The range that ends with the bucket of now. */
export function spanOf(range: Range, width: Width, now: number): Span {
  const to = (Math.floor(now / WIDTH_MS[width]) + 1) * WIDTH_MS[width];
  return { from: to - RANGES[range], to, width };
}

/** The buckets of a span in order; undefined where nothing was requested. */
export function row(items: readonly Bucket[], span: Span): (Bucket | undefined)[] {
  const found = new Map(items.map((item) => [Date.parse(item.from), item]));
  return starts(span).map((start) => found.get(start));
}

export function starts({ from, to, width }: Span): number[] {
  return Array.from({ length: Math.round((to - from) / WIDTH_MS[width]) }, (_, index) => from + index * WIDTH_MS[width]);
}

const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** When a bucket begins; days are those of UTC, as they are counted. */
export const label = (start: number, width: Width) => (width === "day" ? days : short).format(new Date(start));

export function total(items: readonly (Bucket | undefined)[], of: "runs" | "requests", names: readonly string[]): number {
  return items.reduce((sum, item) => sum + names.reduce((inner, name) => inner + (item?.[of][name] ?? 0), 0), 0);
}
