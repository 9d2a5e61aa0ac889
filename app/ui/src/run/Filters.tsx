/** The filters of runs as fields, and as chips those that are set. */
import { useQuery } from "@tanstack/react-query";
import { SlidersHorizontal, X } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { useZapNames, zapsQuery } from "../api/queries";
import { Field } from "../parts/controls";
import { RUN_STATUSES } from "../parts/status";
import { t } from "../texts";

export const RUN_FILTERS = ["q", "where", "zap_id", "status", "source", "from", "to", "finished_from", "finished_to", "min_duration_ms", "max_duration_ms", "step_id", "error_code", "tag", "recovered"] as const;
export type Filter = (typeof RUN_FILTERS)[number];
/** As in the address; comparisons are lines of `where`. */
export type RunSearch = Partial<Record<Filter | "sort" | "order" | "columns", string>>;
type Set = (change: RunSearch) => void;
const QUIET_MS = 300;

/** The comparisons of an address. */
export const comparisons = (search: RunSearch) => (search.where ? search.where.split("\n") : []);

export function Filters({ search, set }: { search: RunSearch; set: Set }) {
  const zaps = useQuery(zapsQuery);
  const [more, setMore] = useState(false);
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
      <Choice label={t.runs.sort} value={search.sort} set={(sort) => set({ sort })} testId="sort">
        <option value="">{t.runs.sorts.started_at}</option>
        <option value="finished_at">{t.runs.sorts.finished_at}</option>
        <option value="duration_ms">{t.runs.sorts.duration_ms}</option>
      </Choice>
      {more ? <Others search={search} set={set} /> : (
        <button type="button" className="button" onClick={() => setMore(true)}><SlidersHorizontal aria-hidden />{t.runs.moreFilters}</button>
      )}
    </div>
  );
}

function Others({ search, set }: { search: RunSearch; set: Set }) {
  return (
    <>
      <When label={t.runs.from} value={search.from} set={(from) => set({ from })} />
      <When label={t.runs.to} value={search.to} set={(to) => set({ to })} />
      <When label={t.runs.finishedFrom} value={search.finished_from} set={(finished_from) => set({ finished_from })} />
      <When label={t.runs.finishedTo} value={search.finished_to} set={(finished_to) => set({ finished_to })} />
      <Typed label={t.runs.atLeast} numeric value={search.min_duration_ms} set={(min_duration_ms) => set({ min_duration_ms })} />
      <Typed label={t.runs.atMost} numeric value={search.max_duration_ms} set={(max_duration_ms) => set({ max_duration_ms })} />
      <Typed label={t.runs.step} value={search.step_id} set={(step_id) => set({ step_id })} />
      <Typed label={t.runs.errorCode} value={search.error_code} set={(error_code) => set({ error_code })} />
      <Typed label={t.zaps.tag} value={search.tag} set={(tag) => set({ tag })} />
      <Choice label={t.runs.madeUpFor} value={search.recovered} set={(recovered) => set({ recovered })}>
        <option value="">{t.runs.either}</option>
        <option value="false">{t.runs.notRecovered}</option>
        <option value="true">{t.runs.recovered}</option>
      </Choice>
    </>
  );
}

/** What the list is narrowed by; each is taken away by its cross. */
export function Chips({ search, set, clear }: { search: RunSearch; set: Set; clear: () => void }) {
  const nameOf = useZapNames();
  const where = comparisons(search);
  const chips = RUN_FILTERS.flatMap((name) => (search[name] && name !== "where" ? [{ name, words: `${t.runs.filters[name]}: ${said(name, search[name], nameOf)}` }] : []));
  if (chips.length + where.length === 0) return null;
  return (
    <ul className="row wrap chips" aria-label={t.runs.narrowed}>
      {where.map((one) => <Chip key={one} words={one} code drop={() => set({ where: where.filter((other) => other !== one).join("\n") })} />)}
      {chips.map(({ name, words }) => <Chip key={name} words={words} drop={() => set({ [name]: "" })} />)}
      <li><button type="button" className="button quiet small" onClick={clear} data-testid="clear">{t.runs.clear}</button></li>
    </ul>
  );
}

function Chip({ words, code = false, drop }: { words: string; code?: boolean; drop: () => void }) {
  return (
    <li className="chip" data-testid="chip">
      {code ? <code className="wrap-any">{words}</code> : <span className="wrap-any">{words}</span>}
      <button type="button" aria-label={t.runs.drop(words)} onClick={drop}><X aria-hidden /></button>
    </li>
  );
}

function said(name: Filter, value: string, nameOf: (id: string) => string | undefined): string {
  if (name === "zap_id") return nameOf(value) ?? t.runs.deletedZap;
  if (name === "status") return t.runStatus[value as keyof typeof t.runStatus] ?? value;
  if (name === "source") return t.sources[value as keyof typeof t.sources] ?? value;
  if (name === "recovered") return value === "true" ? t.runs.recovered : t.runs.notRecovered;
  const at = ["from", "to", "finished_from", "finished_to"].includes(name) ? new Date(value) : undefined;
  return at && !Number.isNaN(at.getTime()) ? at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : value;
}

export function Choice({ label, value, set, children, testId }: { label: string; value: string | undefined; set: (value: string) => void; children: ReactNode; testId?: string }) {
  return (
    <Field label={label}>
      {(id) => <select id={id} className="select" value={value ?? ""} onChange={(event) => set(event.target.value)} data-testid={testId}>{children}</select>}
    </Field>
  );
}

/** A text that is looked for once typing has paused. */
export function Typed({ label, value, set, numeric = false, testId }: { label: string; value: string | undefined; set: (value: string) => void; numeric?: boolean; testId?: string }) {
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  useEffect(() => {
    if (text === (value ?? "")) return;
    const timer = setTimeout(() => set(text), QUIET_MS);
    return () => clearTimeout(timer);
  });
  return (
    <Field label={label}>
      {(id) => <input id={id} className="input short" {...(numeric ? { type: "number", min: 0, step: 1 } : {})} value={text} onChange={(event) => setText(event.target.value)} data-testid={testId} />}
    </Field>
  );
}

/** The address has the moment in UTC, so that it means the same to everybody; the field shows it here. */
export function When({ label, value, set }: { label: string; value: string | undefined; set: (value: string) => void }) {
  const at = value ? new Date(value) : undefined;
  const isValid = at && !Number.isNaN(at.getTime());
  const local = isValid ? new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : "";
  return (
    <Field label={label}>
      {(id) => <input id={id} className="input" type="datetime-local" value={local} onChange={(event) => set(event.target.value ? new Date(event.target.value).toISOString() : "")} />}
    </Field>
  );
}
