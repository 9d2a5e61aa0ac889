/** What happens to runs, as it happens: one stream for the tab, while it is seen. Where it is silent, lists poll. */
import type { Query, QueryClient } from "@tanstack/react-query";
import { root, token } from "./session";

const SILENT_MS = 30_000;
const AGAIN_MS = 2_000;
/** Lists are read again at most so often, however much happens. */
const SOONEST_MS = 200;
const EVERY_MS = 1_000;
const TYPES = "types=run.requested&types=run.step&types=run.ended";

let last = "";
let isConnected = false;
let flushed = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let client: QueryClient | undefined;
const touched = new Map<string, readonly unknown[]>();

/** How often to ask: often without a stream, else only to be on the safe side. */
export function unlessLive(pollMs: number): number {
  return isConnected ? SILENT_MS : pollMs;
}

/** How far the log is known to be: a list that is asked for because something happened waits for that. */
export function position(): { min_position?: number } {
  return last ? { min_position: Number(last) } : {};
}

/** A list says that it has not come so far yet: it is asked again, as nothing else may happen that would do so. */
export function stale(response: Response): void {
  if (response.headers.has("stale")) touch(["runs"]);
}

/** Listens until it is told to stop; hidden tabs let go of their connection, of which browsers have few. */
export function live(of: QueryClient): () => void {
  client = of;
  let stop = new AbortController();
  const follow = () => {
    stop.abort();
    stop = new AbortController();
    if (!document.hidden) void listen(stop.signal);
  };
  follow();
  document.addEventListener("visibilitychange", follow);
  return () => {
    stop.abort();
    document.removeEventListener("visibilitychange", follow);
  };
}

async function listen(signal: AbortSignal) {
  while (!signal.aborted) {
    await stream(signal).catch(() => undefined);
    if (isConnected) connected(false);
    if (!signal.aborted) await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

/** Polling begins and ends with the next answer, so every list is asked for now. */
function connected(now: boolean) {
  isConnected = now;
  touch(["runs"]);
  touch(["run"]);
}

async function stream(stop: AbortSignal) {
  const bearer = await token();
  if (!bearer) return;
  const lost = new AbortController();
  const silence = () => setTimeout(() => lost.abort(), SILENT_MS);
  let quiet = silence();
  try {
    const headers = { authorization: `Bearer ${bearer}`, ...(last ? { "Last-Event-ID": last } : {}) };
    const response = await fetch(`${root}/api/v1/live?${TYPES}`, { headers, signal: AbortSignal.any([stop, lost.signal]) });
    if (!response.ok || !response.body) return;
    connected(true);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      clearTimeout(quiet);
      quiet = silence();
      const blocks = (rest + chunk.value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) heard(block);
    }
  } finally {
    clearTimeout(quiet);
  }
}

function heard(block: string) {
  const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
  last = fields.get("id") || last;
  const written = fields.get("data");
  if (!written) return;
  const event = JSON.parse(written) as { type: string; run_id?: string };
  if (event.type === "reset") touch(["run"]);
  if (event.run_id) touch(["run", event.run_id]);
  if (event.type !== "run.step") touch(["runs"]);
}

function touch(key: readonly unknown[]) {
  touched.set(key.join(" "), key);
  timer ??= setTimeout(flush, Math.max(SOONEST_MS, flushed + EVERY_MS - Date.now()));
}

function flush() {
  timer = undefined;
  flushed = Date.now();
  for (const queryKey of touched.values()) void client?.invalidateQueries({ queryKey, predicate: isFirstPage });
  touched.clear();
}

/** Further pages of a list are history, and stay as they were read; asking anew would cancel the request for one. */
function isFirstPage(query: Query): boolean {
  const pages = (query.state.data as { pages?: unknown[] } | undefined)?.pages;
  return (pages?.length ?? 1) === 1 && !query.state.fetchMeta?.fetchMore;
}
