/** Runs: every filter of the API, kept in the address, so that what is seen can be shared. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Activity, Ban, RotateCcw, SlidersHorizontal, X } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import type { RunSelection } from "../api/client";
import { type RunFilter, runsQuery, zapsQuery } from "../api/queries";
import { Empty, Failed, Field, Loading, Note, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Dialog } from "../parts/overlays";
import { RunRows } from "../parts/Runs";
import { RUN_STATUSES } from "../parts/status";
import { Bulk, type BulkKind } from "../run/Bulk";
import { t } from "../texts";

type Search = Partial<Record<"zap_id" | "status" | "source" | "from" | "to" | "step_id" | "error_code" | "recovered", string>>;
const QUIET_MS = 300;

function filterOf(search: Search): RunFilter {
  const { recovered, ...rest } = search;
  return { ...(rest as RunFilter), ...(recovered ? { recovered: recovered === "true" } : {}) };
}

export function Runs() {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const filter = filterOf(search);
  const runs = useInfiniteQuery(runsQuery(filter));
  const [bulk, setBulk] = useState<BulkKind>();
  const set = (change: Search) => void navigate({ to: "/runs", search: { ...search, ...change }, replace: true });
  const items = runs.data?.pages.flatMap((page) => page.items) ?? [];
  const isFiltered = Object.values(search).some(Boolean);
  const { recovered: _, ...selection } = filter;
  const isSelection = Object.values(selection).some(Boolean);
  return (
    <Page title={t.nav.runs} about={t.runs.about} actions={
      <>
        <button type="button" className="button" onClick={() => setBulk("replay")} data-testid="bulk-replay"><RotateCcw aria-hidden />{t.runs.replayAll}</button>
        <button type="button" className="button" onClick={() => setBulk("cancel")} data-testid="bulk-cancel"><Ban aria-hidden />{t.runs.cancelAll}</button>
      </>
    }>
      <Filters search={search} set={set} clear={isFiltered ? () => void navigate({ to: "/runs", search: {}, replace: true }) : undefined} />
      {runs.error && <Failed error={runs.error} again={() => void runs.refetch()} />}
      <Panel flush>
        {runs.isPending && !runs.error && <Loading />}
        {runs.data && items.length === 0 && (
          <Empty icon={<Activity aria-hidden />} title={isFiltered ? t.runs.noneMatch : t.runs.none}>{isFiltered ? t.runs.noneMatchAbout : t.runs.noneAbout}</Empty>
        )}
        {items.length > 0 && (
          <>
            <RunRows runs={items} withZap paged={(runs.data?.pages.length ?? 0) > 1} />
            <More shown={items.length} query={runs} />
          </>
        )}
      </Panel>
      {bulk && isSelection && <Bulk kind={bulk} filter={selection as RunSelection} onClose={() => setBulk(undefined)} />}
      {bulk && !isSelection && (
        <Dialog title={bulk === "replay" ? t.bulk.replayTitle : t.bulk.cancelTitle} onClose={() => setBulk(undefined)}>
          <div className="dialog-body"><Note>{t.bulk.needsFilter}</Note></div>
          <footer><button type="button" className="button primary" onClick={() => setBulk(undefined)}>{t.common.close}</button></footer>
        </Dialog>
      )}
    </Page>
  );
}

function Filters({ search, set, clear }: { search: Search; set: (change: Search) => void; clear: (() => void) | undefined }) {
  const zaps = useQuery(zapsQuery);
  const hasMore = Boolean(search.from || search.to || search.step_id || search.error_code || search.recovered);
  const [more, setMore] = useState(hasMore);
  return (
    <div className="filters">
      <Choice label={t.runs.zap} value={search.zap_id} set={(zap_id) => set({ zap_id })} testId="filter-zap">
        <option value="">{t.runs.anyZap}</option>
        {zaps.data?.map((zap) => <option key={zap.id} value={zap.id}>{zap.name}</option>)}
        {search.zap_id && !zaps.data?.some((zap) => zap.id === search.zap_id) && <option value={search.zap_id}>{t.runs.deletedZap}</option>}
      </Choice>
      <Choice label={t.common.status} value={search.status} set={(status) => set({ status })} testId="filter-status">
        <option value="">{t.runs.anyStatus}</option>
        {RUN_STATUSES.map((status) => <option key={status} value={status}>{t.runStatus[status]}</option>)}
      </Choice>
      <Choice label={t.runs.source} value={search.source} set={(source) => set({ source })}>
        <option value="">{t.runs.anySource}</option>
        {Object.entries(t.sources).map(([source, name]) => <option key={source} value={source}>{name}</option>)}
      </Choice>
      {more && (
        <>
          <When label={t.runs.from} value={search.from} set={(from) => set({ from })} />
          <When label={t.runs.to} value={search.to} set={(to) => set({ to })} />
          <Typed label={t.runs.step} value={search.step_id} set={(step_id) => set({ step_id })} />
          <Typed label={t.runs.errorCode} value={search.error_code} set={(error_code) => set({ error_code })} />
          <Choice label={t.runs.madeUpFor} value={search.recovered} set={(recovered) => set({ recovered })}>
            <option value="">{t.runs.either}</option>
            <option value="false">{t.runs.notRecovered}</option>
            <option value="true">{t.runs.recovered}</option>
          </Choice>
        </>
      )}
      {!more && <button type="button" className="button" onClick={() => setMore(true)}><SlidersHorizontal aria-hidden />{t.runs.moreFilters}</button>}
      {clear && <button type="button" className="button quiet" onClick={() => { setMore(false); clear(); }}><X aria-hidden />{t.runs.clear}</button>}
    </div>
  );
}

function Choice({ label, value, set, children, testId }: { label: string; value: string | undefined; set: (value: string) => void; children: ReactNode; testId?: string }) {
  return (
    <Field label={label}>
      {(id) => <select id={id} className="select" value={value ?? ""} onChange={(event) => set(event.target.value)} data-testid={testId}>{children}</select>}
    </Field>
  );
}

/** A text that is looked for once typing has paused. */
function Typed({ label, value, set }: { label: string; value: string | undefined; set: (value: string) => void }) {
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  useEffect(() => {
    if (text === (value ?? "")) return;
    const timer = setTimeout(() => set(text), QUIET_MS);
    return () => clearTimeout(timer);
  });
  return <Field label={label}>{(id) => <input id={id} className="input" style={{ width: 130 }} value={text} onChange={(event) => setText(event.target.value)} />}</Field>;
}

/** The address has the moment in UTC, so that it means the same to everybody; the field shows it here. */
function When({ label, value, set }: { label: string; value: string | undefined; set: (value: string) => void }) {
  const at = value ? new Date(value) : undefined;
  const isValid = at && !Number.isNaN(at.getTime());
  const local = isValid ? new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : "";
  return (
    <Field label={label}>
      {(id) => <input id={id} className="input" type="datetime-local" value={local} onChange={(event) => set(event.target.value ? new Date(event.target.value).toISOString() : "")} />}
    </Field>
  );
}
