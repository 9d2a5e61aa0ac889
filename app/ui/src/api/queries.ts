/** What pages ask of the API, and how long an answer may be shown. */
import { QueryClient, infiniteQueryOptions, queryOptions, useQuery } from "@tanstack/react-query";
import { ApiError, type Approval, type Definition, type Difference, type Job, type Run, type RunSelection, type RunSummary, type Service, type Zap, type ZapSummary, api, data, whole } from "./client";
import { position, stale, unlessLive } from "./live";

const POLL_MS = 2_000;
const MAX_PAGES = 10;
/** As ends of runs: nothing follows them. */
export const ENDED = ["completed", "filtered", "failed", "cancelled", "timed_out"];

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (count, error) => count < 3 && !(error instanceof ApiError && error.status < 500),
      retryDelay: (count) => Math.min(1_000 * 2 ** count, 8_000),
    },
  },
});

/** All zaps, newest first: names are needed everywhere, and there are few. */
export const zapsQuery = queryOptions({
  queryKey: ["zaps"],
  refetchInterval: 10_000,
  queryFn: async ({ signal }) => {
    const found: ZapSummary[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < MAX_PAGES; page++) {
      const query: { limit: number; cursor?: string } = cursor ? { limit: 100, cursor } : { limit: 100 };
      const answer: { items: ZapSummary[]; next_cursor?: string | null } = await data(api.GET("/api/v1/zaps", { params: { query }, signal }));
      found.push(...answer.items);
      cursor = answer.next_cursor ?? null;
      if (!cursor) break;
    }
    return found;
  },
});

/** The name of a zap by its id; deleted zaps have none. */
export function useZapNames(): (id: string) => string | undefined {
  const { data: zaps } = useQuery(zapsQuery);
  return (id) => zaps?.find((zap) => zap.id === id)?.name;
}

/** Put a changed zap into the list at once: the list itself follows the log within moments. */
export function zapChanged(zap: Zap, etag?: string | null): void {
  queryClient.setQueryData(zapQuery(zap.id).queryKey, (old) => ({ zap, etag: etag ?? old?.etag ?? null }));
  queryClient.setQueryData(zapsQuery.queryKey, (old) => {
    if (!old) return old;
    const known = old.find((other) => other.id === zap.id);
    const { draft, ...rest } = zap;
    const health = known ?? { completed: 0, failed: 0, last_completed_at: null, last_failed_at: null };
    const tags = [...((draft.settings as { tags?: string[] } | undefined)?.tags ?? [])];
    const item: ZapSummary = { ...health, ...rest, tags, trigger_type: firstTrigger(draft)?.type ?? "", step_count: draft.steps?.length ?? 0 };
    return known ? old.map((other) => (other.id === zap.id ? item : other)) : [item, ...old];
  });
  setTimeout(() => queryClient.invalidateQueries({ queryKey: zapsQuery.queryKey }), 1_000);
}

/** A zap has one trigger, or several with names. */
export function firstTrigger(draft: Definition): { type: string; config?: unknown } | undefined {
  return draft.trigger ?? draft.triggers?.[0];
}

export const zapQuery = (id: string) =>
  queryOptions({
    queryKey: ["zap", id],
    queryFn: async ({ signal }) => {
      const answered = await api.GET("/api/v1/zaps/{zap_id}", { params: { path: { zap_id: id } }, signal });
      const zap = await data(Promise.resolve(answered));
      return { zap, etag: answered.response.headers.get("etag") };
    },
  });

export const healthQuery = (id: string) =>
  queryOptions({
    queryKey: ["health", id],
    staleTime: 15_000,
    queryFn: async ({ signal }) => {
      const path = { params: { path: { zap_id: id } }, signal };
      const { completed = 0, failed = 0, ...others } = await data(api.GET("/api/v1/zaps/{zap_id}/health", path));
      return { completed, failed, ...others };
    },
  });

export const registrationQuery = (id: string) =>
  queryOptions({
    queryKey: ["registration", id],
    queryFn: ({ signal }) => data(api.GET("/api/v1/zaps/{zap_id}/registration", { params: { path: { zap_id: id } }, signal })),
    refetchInterval: (query) => (["registering", "removing", "failed"].includes(query.state.data?.status ?? "") ? 2_000 : 30_000),
  });

export const versionQuery = (id: string, number: number) =>
  queryOptions({
    queryKey: ["version", id, number],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }) =>
      data(api.GET("/api/v1/zaps/{zap_id}/versions/{number}", { params: { path: { zap_id: id, number } }, signal })),
  });

export const versionsQuery = (id: string, position: number) =>
  list(["versions", id, position], (cursor, signal) =>
    data(api.GET("/api/v1/zaps/{zap_id}/versions", { params: { path: { zap_id: id }, query: paged(cursor) }, signal })));

interface PageOf<Item> { items: Item[]; next_cursor?: string | null }

/** A list in pages; the first one is asked for again every `pollMs`, while further ones are history. */
function list<Page extends PageOf<unknown>>(key: readonly unknown[], fetchPage: (cursor: string, signal: AbortSignal) => Promise<Page>, pollMs?: number, ask: (pollMs: number) => number = (ms) => ms) {
  return infiniteQueryOptions({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => fetchPage(pageParam, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: (query) => (pollMs && query.state.data?.pages.length === 1 ? ask(pollMs) : false),
  });
}

function paged(cursor: string, limit = 20): { limit: number; cursor?: string } {
  return cursor ? { limit, cursor } : { limit };
}

/** What the run list is asked: which runs, in which order, with which search keys. */
export type RunFilter = RunSelection & { sort?: string; order?: "asc"; columns?: string[] };

const isSearch = (filter: RunFilter) => Boolean(filter.q || filter.where?.length);

export const runsQuery = (filter: RunFilter, limit = 25) =>
  list(["runs", filter, limit], async (cursor, signal) => {
    // The index of searches follows at its own pace: they are not held up for what has just happened.
    const query = { ...asked(filter), ...paged(cursor, limit), ...(isSearch(filter) ? { matches: true } : cursor ? {} : position()) };
    const answered = await whole(api.GET("/api/v1/runs", { params: { query }, signal }));
    stale(answered.response);
    return answered.data;
  }, POLL_MS, unlessLive);

/** How many runs a filter finds; of many only that there are more. */
export const countQuery = (filter: RunSelection) =>
  queryOptions({
    queryKey: ["runs", "count", filter],
    retry: false,
    queryFn: ({ signal }) => data(api.GET("/api/v1/runs/count", { params: { query: asked(filter) }, signal })),
  });

/** Whether the index of searches lacks what has happened up to now. */
export const lagQuery = ({ q, where }: RunFilter) =>
  queryOptions({
    queryKey: ["lag", q, where],
    refetchInterval: 10_000,
    retry: false,
    queryFn: async ({ signal }) => {
      const query = { ...set({ q, where }), limit: 1, ...position() };
      return (await whole(api.GET("/api/v1/runs", { params: { query }, signal }))).response.headers.has("stale");
    },
  });

/** Paths that the newest runs have, at one of theirs or below. */
export const pathsQuery = (under: string) =>
  queryOptions({
    queryKey: ["paths", under],
    staleTime: 60_000,
    retry: false,
    queryFn: async ({ signal }) => (await data(api.GET("/api/v1/runs/paths", { params: { query: under ? { under } : {} }, signal }))).items,
  });

/** The list takes several statuses, the filter of the page has one. */
function asked({ status, include_recovered: _, ...others }: RunFilter) {
  return { ...set(others), ...(status ? { status: [status].flat() } : {}) };
}

function set<Filter extends object>(filter: Filter): { [Key in keyof Filter]: NonNullable<Filter[Key]> } {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined && value !== "")) as never;
}

export const runQuery = (id: string) =>
  queryOptions({
    queryKey: ["run", id],
    queryFn: ({ signal }): Promise<Run> => data(api.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: id } }, signal })),
    refetchInterval: (query) => (query.state.data && ENDED.includes(query.state.data.status) ? false : unlessLive(1_000)),
  });

/** A run as it was at a position of the log; that never changes. */
export const runAtQuery = (id: string, position: number) =>
  queryOptions({
    queryKey: ["past", id, position],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }): Promise<Run> => data(api.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: id }, query: { as_of: position } }, signal })),
  });

/** A zap as it was at a position of the log. */
export const zapAtQuery = (id: string, position: number) =>
  queryOptions({
    queryKey: ["zap", id, "at", position],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }): Promise<Zap> => data(api.GET("/api/v1/zaps/{zap_id}", { params: { path: { zap_id: id }, query: { as_of: position } }, signal })),
  });

export function runValue(id: string, path: string): Promise<unknown> {
  return data(api.GET("/api/v1/runs/{run_id}/value", { params: { path: { run_id: id }, query: { path } } }));
}

export const eventsQuery = (id: string) =>
  list(["events", id], (cursor, signal) =>
    data(api.GET("/api/v1/runs/{run_id}/events", { params: { path: { run_id: id }, query: paged(cursor, 50) }, signal })));

export const lettersQuery = (state: "open" | "resolved" | "all", zapId: string | undefined) =>
  list(["letters", state, zapId], (cursor, signal) =>
    data(api.GET("/api/v1/dead-letters", {
      params: { query: { state, ...(zapId ? { zap_id: zapId } : {}), ...paged(cursor) } }, signal,
    })), 5_000);

export const requestsQuery = (zapId: string, reason: string | undefined) =>
  list(["requests", zapId, reason], (cursor, signal) =>
    data(api.GET("/api/v1/zaps/{zap_id}/requests", {
      params: { path: { zap_id: zapId }, query: { ...(reason ? { reason: reason as never } : {}), ...paged(cursor) } }, signal,
    })), 5_000);

export const approvalsQuery = (state: Approval["state"]) =>
  list(["approvals", state], (cursor, signal) =>
    data(api.GET("/api/v1/approvals", { params: { query: { state, ...paged(cursor) } }, signal })), 5_000);

export const approvalOfQuery = (runId: string) =>
  queryOptions({
    queryKey: ["approvals", "run", runId],
    refetchInterval: 5_000,
    queryFn: async ({ signal }) => (await data(api.GET("/api/v1/approvals", { params: { query: { run_id: runId, limit: 100 } }, signal }))).items,
  });

export const itemsQuery = (runId: string, step: string, status: RunSummary["status"] | undefined, isActive: boolean) =>
  list(["items", runId, step, status], (cursor, signal) =>
    data(api.GET("/api/v1/runs/{run_id}/items", {
      params: { path: { run_id: runId }, query: { step, ...(status ? { status } : {}), ...paged(cursor) } }, signal,
    })), isActive ? POLL_MS : undefined);

export const jobsQuery = list(["jobs"], (cursor, signal) => data(api.GET("/api/v1/jobs", { params: { query: paged(cursor) }, signal })), POLL_MS);

export const retentionQuery = queryOptions({
  queryKey: ["retention"], queryFn: ({ signal }) => data(api.GET("/api/v1/retention", { signal })), retry: false,
});

export const archivesQuery = list(["archives"], (cursor, signal) => data(api.GET("/api/v1/archives", { params: { query: paged(cursor) }, signal })));

export const jobQuery = (id: string) =>
  queryOptions({
    queryKey: ["job", id],
    queryFn: ({ signal }): Promise<Job> => data(api.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: id } }, signal })),
    refetchInterval: (query) => (["completed", "aborted"].includes(query.state.data?.status ?? "") ? false : 1_000),
  });

export const backtestQuery = (id: string, verdict: "same" | "different" | "diverging" | undefined, isActive: boolean) =>
  list(["backtest", "results", id, verdict], (cursor, signal) =>
    data(api.GET("/api/v1/jobs/{job_id}/results", { params: { path: { job_id: id }, query: { ...(verdict ? { verdict } : {}), ...paged(cursor) } }, signal })), isActive ? POLL_MS : undefined);

export const ticksQuery = (zapId: string) =>
  list(["ticks", zapId], (cursor, signal) =>
    data(api.GET("/api/v1/zaps/{zap_id}/ticks", { params: { path: { zap_id: zapId }, query: paged(cursor, 10) }, signal })), 10_000);

export const auditQuery = (filter: Record<string, string | undefined>) =>
  list(["audit", filter], (cursor, signal) =>
    data(api.GET("/api/v1/audit", { params: { query: { ...(Object.fromEntries(Object.entries(filter).filter(([, value]) => value)) as object), ...paged(cursor, 50) } }, signal })), 5_000);

export const checkpointsQuery = list(["checkpoints"], (cursor, signal) => data(api.GET("/api/v1/audit/checkpoints", { params: { query: paged(cursor) }, signal })));

/** Buckets of a time, of one zap or all, of runs or of each step. */
export const statsQuery = (zapId: string | undefined, { from, to, width }: { from: number; to: number; width: "minute" | "hour" | "day" }, by?: "step") =>
  queryOptions({
    queryKey: ["stats", zapId, from, to, width, by],
    refetchInterval: 5_000,
    queryFn: async ({ signal }) => {
      const query = { ...position(), from: new Date(from).toISOString(), to: new Date(to).toISOString(), bucket: width, ...(zapId ? { zap_id: zapId } : {}), ...(by ? { by } : {}) };
      return (await data(api.GET("/api/v1/stats", { params: { query }, signal }))).items;
    },
  });

/** Who changed a zap, newest first. */
export const zapHistoryQuery = (id: string, position: number) =>
  list(["history", id, position], (cursor, signal) =>
    data(api.GET("/api/v1/zaps/{zap_id}/history", { params: { path: { zap_id: id }, query: { ...paged(cursor, 100), ...(cursor ? {} : { min_position: position }) } }, signal })));

export const zapDiffQuery = (id: string, from: number, to: number) =>
  queryOptions({
    queryKey: ["diff", "zap", id, from, to],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }): Promise<Difference> => data(api.GET("/api/v1/zaps/{zap_id}/diff", { params: { path: { zap_id: id }, query: { from, to } }, signal })),
  });

export const runDiffQuery = (id: string, from: number, to: number) =>
  queryOptions({
    queryKey: ["diff", "run", id, from, to],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }): Promise<Difference> => data(api.GET("/api/v1/runs/{run_id}/diff", { params: { path: { run_id: id }, query: { from, to } }, signal })),
  });

export const connectionsQuery = list(["connections"], (cursor, signal) => data(api.GET("/api/v1/connections", { params: { query: paged(cursor, 100) }, signal })), 10_000);

export const connectionQuery = (id: string) =>
  queryOptions({
    queryKey: ["connections", "one", id],
    queryFn: ({ signal }) => data(api.GET("/api/v1/connections/{connection_id}", { params: { path: { connection_id: id } }, signal })),
  });

export const variablesQuery = queryOptions({
  queryKey: ["variables"],
  queryFn: async ({ signal }) => (await data(api.GET("/api/v1/variables", { signal }))).items,
});

/** Who set and deleted a variable, newest first: the audit's entries that name it. */
export const variableHistoryQuery = (name: string) =>
  queryOptions({
    queryKey: ["variables", "history", name],
    queryFn: async ({ signal }) => {
      const { items } = await data(api.GET("/api/v1/audit", { params: { query: { q: `"variable ${name}"`, limit: 100 } }, signal }));
      return items.filter((entry) => entry.entity.kind === "variable" && entry.summary.split(/[\s,]+/).includes(name));
    },
  });

/** The zaps that name it; looked for in all of them, so only when somebody asks. */
export const variableUsesQuery = (name: string) =>
  queryOptions({
    queryKey: ["variables", "uses", name],
    queryFn: async ({ signal }) => (await data(api.GET("/api/v1/variables/{name}/used-by", { params: { path: { name } }, signal }))).items,
  });

export const connectorsQuery = queryOptions({
  queryKey: ["connectors"],
  staleTime: 60_000,
  queryFn: async ({ signal }) => (await data(api.GET("/api/v1/connectors", { signal }))).items,
});

export const connectorQuery = (name: string, version?: string) =>
  queryOptions({
    queryKey: ["connectors", name, version],
    staleTime: 60_000,
    queryFn: ({ signal }): Promise<Service> =>
      data(version ? api.GET("/api/v1/connectors/{name}/{version}", { params: { path: { name, version } }, signal }) : api.GET("/api/v1/connectors/{name}", { params: { path: { name } }, signal })),
  });

export const usesQuery = (id: string) =>
  queryOptions({
    queryKey: ["connections", "uses", id],
    queryFn: async ({ signal }) => (await data(api.GET("/api/v1/connections/{connection_id}/used-by", { params: { path: { connection_id: id } }, signal }))).items,
  });

export const sessionsQuery = list(["sessions"], (cursor, signal) => data(api.GET("/api/v1/me/sessions", { params: { query: paged(cursor) }, signal })));

export const keysQuery = list(["keys"], (cursor, signal) => data(api.GET("/api/v1/api-keys", { params: { query: paged(cursor) }, signal })));

export const triggersQuery = queryOptions({
  queryKey: ["triggers"],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: () => data(api.GET("/api/v1/triggers/available")),
});

export const actionsQuery = queryOptions({
  queryKey: ["actions"],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: () => data(api.GET("/api/v1/actions/available")),
});
