/** Runs: found by what is in them and by every filter of the API; all of it is in the address, so that it can be shared. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Activity, Ban, RotateCcw } from "lucide-react";
import { useEffect, useState } from "react";
import type { RunSelection } from "../api/client";
import { type RunFilter, countQuery, lagQuery, runsQuery } from "../api/queries";
import { Empty, Failed, Loading, Note, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Dialog } from "../parts/overlays";
import { RunRows } from "../parts/Runs";
import { Bulk, type BulkKind } from "../run/Bulk";
import { Columns, columnsOf, sortingOf } from "../run/Columns";
import { Chips, Filters, RUN_FILTERS, type RunSearch, comparisons } from "../run/Filters";
import { SearchBox } from "../run/Search";
import { Views } from "../run/Views";
import { t } from "../texts";

/** A search looks at many runs for few that fit; it goes on by itself until a page is full, or so often. */
const PAGE = 25;
const MOST_PAGES = 40;

/** Which runs an address means, as lists, counts and jobs take it. */
function selectionOf(search: RunSearch): RunSelection {
  const given = Object.fromEntries(RUN_FILTERS.flatMap((name) => (search[name] ? [[name, search[name]]] : [])));
  return {
    ...given, ...(search.recovered ? { recovered: search.recovered === "true" } : {}), ...(search.where ? { where: comparisons(search) } : {}),
    ...(search.min_duration_ms ? { min_duration_ms: Number(search.min_duration_ms) } : {}), ...(search.max_duration_ms ? { max_duration_ms: Number(search.max_duration_ms) } : {}),
  } as RunSelection;
}

function listOf(search: RunSearch): RunFilter {
  const { sort, order } = search;
  const columns = columnsOf(search).map((name) => `keys.${name}`);
  return { ...selectionOf(search), ...(sort ? { sort } : {}), ...(order === "asc" ? { order } : {}), ...(columns.length ? { columns } : {}) };
}

export function Runs() {
  const search = useSearch({ strict: false }) as RunSearch;
  const navigate = useNavigate();
  const go = (next: RunSearch) => void navigate({ to: "/runs", search: next, replace: true });
  const set = (change: RunSearch) => go({ ...search, ...change });
  const compare = (one: string) => set({ q: "", where: [...new Set([...comparisons(search), one])].join("\n") });
  const [bulk, setBulk] = useState<BulkKind>();
  return (
    <Page title={t.nav.runs} about={t.runs.about} actions={
      <>
        <Columns search={search} set={set} />
        <Views search={search} open={go} />
        <button type="button" className="button" onClick={() => setBulk("replay")} data-testid="bulk-replay"><RotateCcw aria-hidden />{t.runs.replayAll}</button>
        <button type="button" className="button" onClick={() => setBulk("cancel")} data-testid="bulk-cancel"><Ban aria-hidden />{t.runs.cancelAll}</button>
      </>
    }>
      <SearchBox q={search.q ?? ""} setWords={(q) => set({ q })} compare={compare} open={(id) => void navigate({ to: "/runs/$id", params: { id } })} />
      <Filters search={search} set={set} />
      <Chips search={search} set={set} clear={() => go({})} />
      <List search={search} set={set} />
      {bulk && <Chosen kind={bulk} search={search} onClose={() => setBulk(undefined)} />}
    </Page>
  );
}

function List({ search, set }: { search: RunSearch; set: (change: RunSearch) => void }) {
  const isSearch = Boolean(search.q || search.where);
  const filter = listOf(search);
  const runs = useInfiniteQuery(runsQuery(filter, PAGE));
  const isFiltered = RUN_FILTERS.some((name) => search[name]);
  const count = useQuery({ ...countQuery(selectionOf(search)), enabled: isFiltered && !runs.error });
  const isBehind = useQuery({ ...lagQuery(filter), enabled: isSearch && !runs.error }).data ?? false;
  const items = runs.data?.pages.flatMap((page) => page.items) ?? [];
  const goesOn = isSearch && runs.hasNextPage && items.length < PAGE && (runs.data?.pages.length ?? 0) < MOST_PAGES;
  const { isFetching, fetchNextPage } = runs;
  useEffect(() => {
    if (goesOn && !isFetching) void fetchNextPage();
  }, [goesOn, isFetching, fetchNextPage]);
  return (
    <div className="stack tight">
      {isBehind && <Note tone="warn">{t.search.behind}</Note>}
      {runs.error && <Failed error={runs.error} again={() => void runs.refetch()} />}
      {isFiltered && count.data && <p className="small soft number" role="status" data-testid="count">{count.data.exact ? t.runs.counted(count.data.count) : t.runs.countedOver(count.data.count)}</p>}
      <Panel flush>
        {runs.isPending && !runs.error && <Loading />}
        {runs.data && items.length === 0 && !runs.hasNextPage && (
          <Empty icon={<Activity aria-hidden />} title={isFiltered ? t.runs.noneMatch : t.runs.none}>{isSearch ? t.search.noneAbout : isFiltered ? t.runs.noneMatchAbout : t.runs.noneAbout}</Empty>
        )}
        {(items.length > 0 || runs.hasNextPage) && (
          <>
            <RunRows runs={items} withZap paged={(runs.data?.pages.length ?? 0) > 1} columns={columnsOf(search)} sorting={sortingOf(search, set)} />
            {goesOn ? <p className="more small" role="status">{t.search.goesOn}</p> : <More shown={items.length} query={runs} />}
          </>
        )}
      </Panel>
    </div>
  );
}

/** Jobs on many runs: on all that the list shows, and by at least one filter. */
function Chosen({ kind, search, onClose }: { kind: BulkKind; search: RunSearch; onClose: () => void }) {
  const filter = selectionOf(search);
  if (Object.keys(filter).length > 0) return <Bulk kind={kind} filter={filter} onClose={onClose} />;
  return (
    <Dialog title={kind === "replay" ? t.bulk.replayTitle : t.bulk.cancelTitle} onClose={onClose}>
      <div className="dialog-body"><Note>{t.bulk.needsFilter}</Note></div>
      <footer><button type="button" className="button primary" onClick={onClose}>{t.common.close}</button></footer>
    </Dialog>
  );
}
