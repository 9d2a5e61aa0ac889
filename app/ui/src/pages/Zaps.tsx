/** The list of zaps. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Search, TriangleAlert, Workflow, Zap as ZapIcon } from "lucide-react";
import { Suspense, lazy, useState } from "react";
import type { ZapSummary } from "../api/client";
import { zapsQuery } from "../api/queries";
import { Empty, Failed, Loading, Page, Panel } from "../parts/controls";
import { fetched } from "../parts/fetched";
import { Menu } from "../parts/overlays";
import { ZapBadge } from "../parts/status";
import { Ago } from "../parts/time";
import { t } from "../texts";
import { useZapActions } from "../zap/actions";

const NewZap = lazy(async () => ({ default: (await fetched(() => import("../zap/NewZap"))).NewZap }));

export function Zaps() {
  const zaps = useQuery(zapsQuery);
  const { q = "", status = "", tag = "" } = useSearch({ strict: false }) as { q?: string; status?: string; tag?: string };
  const navigate = useNavigate();
  const [isNew, setNew] = useState(false);
  const set = (change: { q?: string; status?: string; tag?: string }) =>
    void navigate({ to: "/zaps", search: { q, status, tag, ...change }, replace: true });
  const tags = [...new Set([...(zaps.data ?? []).flatMap((zap) => zap.tags), ...(tag ? [tag] : [])])].sort();
  const shown = zaps.data?.filter((zap) => matches(zap, q, status) && (!tag || zap.tags.includes(tag)));
  const create = (
    <button type="button" className="button primary" onClick={() => setNew(true)} data-testid="new-zap">
      <Plus aria-hidden />
      {zaps.data?.length === 0 ? t.zaps.first : t.zaps.create}
    </button>
  );
  return (
    <Page title={t.nav.zaps} about={t.zaps.about} actions={zaps.data?.length ? create : undefined}>
      {zaps.error && <Failed error={zaps.error} again={() => void zaps.refetch()} />}
      {zaps.isPending && <Loading />}
      {zaps.data?.length === 0 && (
        <Panel>
          <Empty icon={<ZapIcon aria-hidden />} title={t.zaps.emptyTitle} action={create}>{t.zaps.emptyAbout}</Empty>
        </Panel>
      )}
      {zaps.data && zaps.data.length > 0 && (
        <>
          <div className="filters">
            <div className="search">
              <Search aria-hidden />
              <input className="input" type="search" aria-label={t.zaps.search} placeholder={t.zaps.search} value={q}
                onChange={(event) => set({ q: event.target.value })} data-testid="search" />
            </div>
            <select className="select" aria-label={t.common.status} value={status} onChange={(event) => set({ status: event.target.value })}>
              <option value="">{t.zaps.anyStatus}</option>
              {(["enabled", "paused", "draft"] as const).map((each) => <option key={each} value={each}>{t.zapStatus[each]}</option>)}
            </select>
            {tags.length > 0 && (
              <select className="select" aria-label={t.zaps.tag} value={tag} onChange={(event) => set({ tag: event.target.value })} data-testid="filter-tag">
                <option value="">{t.zaps.anyTag}</option>
                {tags.map((each) => <option key={each} value={each}>{each}</option>)}
              </select>
            )}
          </div>
          <Panel flush>
            <table className="table">
              <thead>
                <tr>
                  <th>{t.common.name}</th><th className="fit">{t.common.status}</th><th className="fit">{t.zaps.ends}</th>
                  <th className="fit">{t.zaps.lastRun}</th><th className="fit">{t.zaps.lastGood}</th><th className="fit"><span className="hidden">{t.common.actions}</span></th>
                </tr>
              </thead>
              <tbody>{shown?.map((zap) => <Row key={zap.id} zap={zap} />)}</tbody>
            </table>
            {shown?.length === 0 && <Empty icon={<Workflow aria-hidden />} title={t.zaps.noneMatch} />}
          </Panel>
        </>
      )}
      {isNew && <Suspense><NewZap isFirst={zaps.data?.length === 0} onClose={() => setNew(false)} /></Suspense>}
    </Page>
  );
}

function matches(zap: ZapSummary, q: string, status: string): boolean {
  const words = q.toLowerCase().split(/\s+/);
  return (!status || zap.status === status) && words.every((word) => `${zap.name} ${zap.id} ${zap.trigger_type} ${zap.tags.join(" ")}`.toLowerCase().includes(word));
}

function Row({ zap }: { zap: ZapSummary }) {
  const { items, dialogs } = useZapActions(zap);
  const { completed, failed } = { completed: zap.completed ?? 0, failed: zap.failed ?? 0 };
  const last = [zap.last_completed_at, zap.last_failed_at].filter(Boolean).sort().at(-1);
  return (
    <tr data-testid="zap-row">
      <td className="grow">
        <Link className="main wrap-any" to="/zaps/$id" params={{ id: zap.id }}>{zap.name}</Link>
        <div className="small faint row wrap">
          <span>{t.triggers[zap.trigger_type as keyof typeof t.triggers] ?? zap.trigger_type}</span>
          <span>·</span>
          <span>{t.zaps.steps(zap.step_count)}</span>
          {zap.tags.map((tag) => <Link key={tag} className="badge" to="/zaps" search={{ tag }}>{tag}</Link>)}
          {zap.flags.map((flag) => (
            <span key={flag.kind} className="badge warn" title={flag.detail}><TriangleAlert aria-hidden />{t.flags[flag.kind] ?? flag.kind}</span>
          ))}
        </div>
      </td>
      <td className="fit"><ZapBadge status={zap.status} /></td>
      <td className="fit">{completed + failed > 0 && <Rate completed={completed} failed={failed} />}</td>
      <td className="fit soft">{last && <><span className="label-narrow">{t.zaps.lastRun} </span><Ago at={last} /></>}</td>
      <td className={`fit ${failed > 0 && zap.last_failed_at === last ? "wrong-text" : "soft"}`}>{last && <><span className="label-narrow">{t.zaps.lastGood} </span><Ago at={zap.last_completed_at} /></>}</td>
      <td className="fit end">
        <Menu label={t.zaps.actionsOf(zap.name)}>{items}</Menu>
        {dialogs}
      </td>
    </tr>
  );
}

export function Rate({ completed, failed }: { completed: number; failed: number }) {
  const share = completed / (completed + failed);
  // Rounded down: "100 %" says that none has failed.
  const text = `${failed > 0 ? Math.min(99, Math.floor(share * 100)) : 100} %`;
  return (
    <span className="row" title={t.zaps.rate(completed, failed)}>
      <span className="meter" aria-hidden><span style={{ width: `${share * 100}%` }} /></span>
      <span className="number small soft">{text}</span>
    </span>
  );
}
