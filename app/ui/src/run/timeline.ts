/** When a step was at work and when it waited, as shares of the run's time. */
import type { Run, RunStep } from "../api/client";

export interface Bar { from: number; to: number; tone: "" | "bad" | "info" | "rest" | "wait" }

interface Span { start: number; end: number }

export function span(run: Run, now: number): Span {
  const start = Date.parse(run.started_at);
  const end = run.finished_at ? Date.parse(run.finished_at) : Math.max(now, start);
  return { start, end: Math.max(end, start + 1) };
}

export function bars(step: RunStep, whole: Span): Bar[] {
  const found: Bar[] = [];
  const add = (from: number, to: number, tone: Bar["tone"]) => {
    const length = whole.end - whole.start;
    const share = (at: number) => Math.min(1, Math.max(0, (at - whole.start) / length));
    found.push({ from: share(from), to: share(to), tone });
  };
  for (const [index, attempt] of (step.attempts ?? []).entries()) {
    const begun = Date.parse(attempt.started_at);
    const ended = begun + attempt.duration_ms;
    add(begun, ended, attempt.error ? "bad" : "");
    const next = step.attempts?.[index + 1];
    if (next) add(ended, Date.parse(next.started_at), "wait");
    else if (attempt.retry_at && step.status === "waiting") add(ended, whole.end, "wait");
  }
  if (found.length === 0 && step.started_at) {
    const begun = Date.parse(step.started_at);
    const ended = step.finished_at ? Date.parse(step.finished_at) : whole.end;
    add(begun, ended, step.status === "waiting" ? "wait" : step.status === "running" ? "info" : step.status === "failed" ? "bad" : "rest");
  }
  return found;
}
