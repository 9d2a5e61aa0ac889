/** The audit: who did what, when and from where, what it changed; and the proof that nobody has touched the record. */
import * as Tabs from "@radix-ui/react-tabs";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { ChevronRight, Download, ScrollText, X } from "lucide-react";
import { Fragment, useId, useState } from "react";
import { type AuditEntry, api, data } from "../api/client";
import { auditQuery } from "../api/queries";
import { Export } from "../history/Export";
import { Proof } from "../history/Proof";
import { Empty, Failed, Field, Loading, Page, Panel, said } from "../parts/controls";
import { Differences } from "../parts/Diff";
import { save } from "../parts/files";
import { More } from "../parts/More";
import { Ago, Moment } from "../parts/time";
import { toast } from "../parts/toasts";
import { Choice, Typed, When } from "../run/Filters";
import { t } from "../texts";

/** Of events that are in the audit, as the API names them. */
const TYPES = [
  "connection.authorized", "connection.changed", "connection.created", "connection.deleted", "connection.lost",
  "job.aborted", "job.paused", "job.requested", "job.resumed", "run.forgotten",
  "runs.dropped", "user.access_refused", "user.api_key_created", "user.api_key_deleted", "user.audit_exported",
  "user.file_downloaded",
  "user.password_changed", "user.sign_in_failed", "user.signed_in", "user.signed_out", "user.signed_up",
  "variable.deleted", "variable.set", "zap.created", "zap.deleted", "zap.draft_changed",
  "zap.draft_tested", "zap.enabled", "zap.failures.noted", "zap.failures.resolved", "zap.flagged",
  "zap.hook.failed", "zap.hook.registered", "zap.hook.removed",
  "zap.paused", "zap.published", "zap.request.admitted", "zap.request.discarded", "zap.rolled_back",
  "zap.run.approval_answered", "zap.run.cancelled", "zap.run.requested", "zap.secrets_changed", "zap.unflagged",
];
export type AuditSearch = Partial<Record<"q" | "type" | "entity" | "actor" | "from" | "to" | "tab", string>>;
type Set = (change: AuditSearch) => void;

export function Audit() {
  const { tab = "entries", ...filter } = useSearch({ strict: false }) as AuditSearch;
  const navigate = useNavigate();
  const set = (change: AuditSearch) => void navigate({ to: "/audit", search: { ...filter, tab: tab === "entries" ? "" : tab, ...change }, replace: true });
  const isFiltered = Object.values(filter).some(Boolean);
  return (
    <Page title={t.nav.audit} about={t.audit.about} actions={<Export from={filter.from} to={filter.to} />}>
      <Tabs.Root value={tab} onValueChange={(next) => set({ tab: next === "entries" ? "" : next })}>
        <Tabs.List className="tabs" aria-label={t.audit.views}>
          <Tabs.Trigger value="entries">{t.audit.entries}</Tabs.Trigger>
          <Tabs.Trigger value="proof" data-testid="tab-proof">{t.audit.proof}</Tabs.Trigger>
        </Tabs.List>
        <Tabs.Content value="entries" tabIndex={-1}>
          <Filters filter={filter} set={set} clear={isFiltered ? () => void navigate({ to: "/audit", search: {}, replace: true }) : undefined} />
          <Entries filter={filter} set={set} />
        </Tabs.Content>
        <Tabs.Content value="proof" tabIndex={-1}><Proof /></Tabs.Content>
      </Tabs.Root>
    </Page>
  );
}

function Filters({ filter, set, clear }: { filter: AuditSearch; set: Set; clear: (() => void) | undefined }) {
  const list = useId();
  return (
    <div className="filters">
      <Typed label={t.audit.words} value={filter.q} set={(q) => set({ q })} testId="search" />
      <Choice label={t.audit.actor} value={filter.actor} set={(actor) => set({ actor })} testId="filter-actor">
        <option value="">{t.audit.everybody}</option>
        {Object.entries(t.audit.processes).map(([actor, name]) => <option key={actor} value={actor}>{name}</option>)}
        {filter.actor && !(filter.actor in t.audit.processes) && <option value={filter.actor}>{filter.actor}</option>}
      </Choice>
      <Field label={t.audit.type}>
        {(id) => (
          <>
            <input id={id} key={filter.type} className="input" list={list} defaultValue={filter.type ?? ""} data-testid="filter-type"
              onBlur={(event) => event.target.value.trim() !== (filter.type ?? "") && set({ type: event.target.value.trim() })} onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()} />
            <datalist id={list}>{TYPES.map((type) => <option key={type} value={type} />)}</datalist>
          </>
        )}
      </Field>
      <Typed label={t.audit.entity} value={filter.entity} set={(entity) => set({ entity })} testId="filter-entity" />
      <When label={t.audit.from} value={filter.from} set={(from) => set({ from })} />
      <When label={t.runs.to} value={filter.to} set={(to) => set({ to })} />
      {clear && <button type="button" className="button quiet" onClick={clear}><X aria-hidden />{t.runs.clear}</button>}
    </div>
  );
}

function Entries({ filter, set }: { filter: AuditSearch; set: Set }) {
  const entries = useInfiniteQuery(auditQuery(filter));
  const [open, setOpen] = useState<number>();
  const items = entries.data?.pages.flatMap((page) => page.items) ?? [];
  if (entries.error) return <Failed error={entries.error} again={() => void entries.refetch()} />;
  if (entries.isPending) return <Loading />;
  if (items.length === 0) return <Panel><Empty icon={<ScrollText aria-hidden />} title={t.audit.none}>{t.runs.noneMatchAbout}</Empty></Panel>;
  return (
    <Panel flush>
      <table className="table">
        <thead><tr><th className="fit">{t.audit.when}</th><th>{t.audit.what}</th><th className="fit">{t.audit.who}</th><th className="fit">{t.audit.where}</th></tr></thead>
        <tbody>
          {items.map((entry) => (
            <Fragment key={entry.position}>
              <tr data-testid="audit-row">
                <td className="fit soft"><Ago at={entry.at} /></td>
                <td className="full">
                  <button type="button" className="linkish plain" aria-expanded={open === entry.position} onClick={() => setOpen(open === entry.position ? undefined : entry.position)}>
                    <ChevronRight aria-hidden size={13} className={open === entry.position ? "turned" : ""} /> {entry.summary}
                  </button>
                </td>
                <td className="fit soft"><Who entry={entry} /></td>
                <td className="fit soft mono">{entry.via?.ip ?? "–"}</td>
              </tr>
              {open === entry.position && <tr><td colSpan={4} className="full"><Details entry={entry} set={set} /></td></tr>}
            </Fragment>
          ))}
        </tbody>
      </table>
      <More shown={items.length} query={entries} />
    </Panel>
  );
}

function Who({ entry }: { entry: AuditEntry }) {
  const { actor, via } = entry;
  return <span className="clip">{actor.name || t.audit.actors[actor.kind]}{via?.api_key && <span className="small faint"> {t.audit.key(via.api_key.name)}</span>}</span>;
}

function Details({ entry, set }: { entry: AuditEntry; set: Set }) {
  const { actor, entity, via } = entry;
  const by = actor.id ?? actor.name;
  async function prove() {
    try {
      const proof = await data(api.GET("/api/v1/audit/proof", { params: { query: { position: entry.position } } }));
      save(`proof-${entry.position}.json`, new Blob([JSON.stringify(proof, null, 2)], { type: "application/json" }));
    } catch (error) {
      toast(said(error));
    }
  }
  return (
    <div className="stack tight" data-testid="audit-details">
      {entry.changes && <Differences found={{ changes: entry.changes, cut: entry.cut }} />}
      <dl className="facts small">
        <dt>{t.audit.when}</dt><dd><Moment at={entry.at} /> · {t.events.position} {entry.position}</dd>
        <dt>{t.audit.event}</dt><dd><code>{entry.type}</code></dd>
        <dt>{t.audit.subject}</dt><dd><About entity={entity} /></dd>
        {via?.user_agent && <><dt>{t.audit.agent}</dt><dd>{via.user_agent}</dd></>}
        {entry.correlation_id && <><dt>{t.audit.correlation}</dt><dd><code>{entry.correlation_id}</code></dd></>}
        {entry.causation_id && <><dt>{t.audit.causation}</dt><dd><code>{entry.causation_id}</code></dd></>}
        <dt>{t.audit.hash}</dt><dd><code>{entry.event_hash ?? t.audit.gone}</code></dd>
      </dl>
      <div className="row wrap">
        <button type="button" className="button small" onClick={() => set({ entity: entity.id })} data-testid="all-about">{t.audit.all}</button>
        {by && <button type="button" className="button small" onClick={() => set({ actor: by })}>{t.audit.allBy(actor.name ?? "")}</button>}
        {entry.event_hash && <button type="button" className="button small" onClick={() => void prove()} data-testid="prove"><Download aria-hidden />{t.audit.proofOf}</button>}
      </div>
    </div>
  );
}

function About({ entity }: { entity: AuditEntry["entity"] }) {
  const words = <>{t.audit.entities[entity.kind]}{entity.name && ` ${entity.name}`}</>;
  if (entity.kind === "zap") return <Link to="/zaps/$id" params={{ id: entity.id }}>{words}</Link>;
  if (entity.kind === "run") return <Link to="/runs/$id" params={{ id: entity.id }}>{words}</Link>;
  return words;
}
