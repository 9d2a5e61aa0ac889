/** Statistics of one zap or all: what was requested, how runs ended, and how long that took. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { BarChart3 } from "lucide-react";
import type { Bucket } from "../api/client";
import { statsQuery, zapsQuery } from "../api/queries";
import { Chart, type Tone } from "../history/Chart";
import { RANGES, type Range, type Span, WIDTHS, type Width, label, row, spanOf, starts, total } from "../history/buckets";
import { Empty, Failed, Loading, Page, Panel } from "../parts/controls";
import { took, useNow } from "../parts/time";
import { Choice } from "../run/Filters";
import { t } from "../texts";

interface Search { zap_id?: string; range?: string; bucket?: string }
const ENDS: [keyof typeof t.runStatus, Tone][] = [["completed", "good"], ["failed", "bad"], ["timed_out", "warn"], ["filtered", "info"], ["cancelled", "rest"]];
const NAMES = ENDS.map(([name]) => name);
const percent = (share: number) => `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
const many = (count: number) => count.toLocaleString("en");

export function Stats() {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const now = useNow();
  const zaps = useQuery(zapsQuery);
  const range: Range = search.range && search.range in RANGES ? (search.range as Range) : "day";
  const width = WIDTHS[range].find((one) => one === search.bucket) ?? (WIDTHS[range][0] as Width);
  const span = spanOf(range, width, now);
  const set = (change: Search) => void navigate({ to: "/stats", search: { ...search, ...change }, replace: true });
  return (
    <Page title={t.nav.stats} about={t.stats.about}>
      <div className="filters">
        <Choice label={t.runs.zap} value={search.zap_id} set={(zap_id) => set({ zap_id })} testId="filter-zap">
          <option value="">{t.runs.anyZap}</option>
          {zaps.data?.map((zap) => <option key={zap.id} value={zap.id}>{zap.name}</option>)}
          {search.zap_id && !zaps.data?.some((zap) => zap.id === search.zap_id) && <option value={search.zap_id}>{t.runs.deletedZap}</option>}
        </Choice>
        <Choice label={t.stats.range} value={range} set={(next) => set({ range: next, bucket: "" })} testId="range">
          {(Object.keys(RANGES) as Range[]).map((one) => <option key={one} value={one}>{t.stats.ranges[one]}</option>)}
        </Choice>
        <Choice label={t.stats.bucket} value={width} set={(bucket) => set({ bucket })} testId="bucket">
          {WIDTHS[range].map((one) => <option key={one} value={one}>{t.stats.widths[one]}</option>)}
        </Choice>
      </div>
      <Shown zapId={search.zap_id} span={span} />
    </Page>
  );
}

function Shown({ zapId, span }: { zapId: string | undefined; span: Span }) {
  const found = useQuery({ ...statsQuery(zapId, span), placeholderData: keepPreviousData });
  if (found.error) return <Failed error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  if (found.data.length === 0) return <Panel><Empty icon={<BarChart3 aria-hidden />} title={t.stats.none}>{t.stats.noneAbout}</Empty></Panel>;
  const items = row(found.data, span);
  return (
    <div className="stack">
      <Totals items={items} />
      <div className="charts"><Charts items={items} span={span} /></div>
      {zapId && <Steps zapId={zapId} span={span} />}
    </div>
  );
}

function Totals({ items }: { items: (Bucket | undefined)[] }) {
  const [bad, good] = [total(items, "runs", ["failed", "timed_out"]), total(items, "runs", ["completed"])];
  const reasons = [...new Set(items.flatMap((item) => Object.keys(item?.requests ?? {})))].filter((name) => name !== "accepted");
  return (
    <Panel>
      <div className="row wrap facts-row" data-testid="totals">
        {([[t.stats.accepted, many(total(items, "requests", ["accepted"]))], [t.stats.notTaken, many(total(items, "requests", reasons))], [t.stats.ended, many(total(items, "runs", NAMES))], [t.stats.failureRate, bad + good > 0 ? percent(bad / (bad + good)) : "–"]] as const).map(([name, value]) => (
          <div key={name}><div className="small faint">{name}</div><div className="total number">{value}</div></div>
        ))}
      </div>
    </Panel>
  );
}

function Charts({ items, span }: { items: (Bucket | undefined)[]; span: Span }) {
  const labels = starts(span).map((start) => label(start, span.width));
  const reasons = [...new Set(items.flatMap((item) => Object.keys(item?.requests ?? {})))].toSorted((one, other) => Number(other === "accepted") - Number(one === "accepted"));
  const tones: Tone[] = ["warn", "bad", "info", "rest"];
  const lines = (of: "queue_ms" | "run_ms") => (["p99", "p95", "p50"] as const).map((share, index) => ({
    name: t.stats.shares[share], tone: (["bad", "warn", "good"] as const)[index] as Tone, ...(share === "p50" ? {} : { dash: share === "p95" ? "6 3" : "2 2" }), values: items.map((item) => item?.[of][share] ?? null),
  }));
  return (
    <>
      <Panel title={t.stats.runs}><Chart title={t.stats.runs} kind="bars" labels={labels} unit={many} series={ENDS.map(([name, tone]) => ({ name: t.runStatus[name], tone, values: items.map((item) => item?.runs[name] ?? 0) }))} /></Panel>
      <Panel title={t.stats.requests}><Chart title={t.stats.requests} kind="bars" labels={labels} unit={many} series={reasons.map((name, index) => ({ name: name === "accepted" ? t.stats.accepted : (t.reasons[name as keyof typeof t.reasons]?.name ?? name), tone: name === "accepted" ? "good" : (tones[index % tones.length] as Tone), values: items.map((item) => item?.requests[name] ?? 0) }))} /></Panel>
      <Panel title={t.stats.failureRate}><Chart title={t.stats.failureRate} kind="lines" labels={labels} unit={percent} series={[{ name: t.stats.failureRate, tone: "bad", values: items.map((item) => item?.failure_rate ?? null) }]} /></Panel>
      <Panel title={t.stats.runTime}><Chart title={t.stats.runTime} kind="lines" labels={labels} unit={took} series={lines("run_ms")} /></Panel>
      <Panel title={t.stats.queueTime}><Chart title={t.stats.queueTime} kind="lines" labels={labels} unit={took} series={lines("queue_ms")} /></Panel>
    </>
  );
}

/** Attempts of each step. Percentiles cannot be added up, so of the time the worst bucket is told. */
function Steps({ zapId, span }: { zapId: string; span: Span }) {
  const found = useQuery({ ...statsQuery(zapId, span, "step"), placeholderData: keepPreviousData });
  const ids = [...new Set((found.data ?? []).map((item) => item.step_id ?? ""))];
  if (found.error) return <Failed error={found.error} again={() => void found.refetch()} />;
  if (ids.length === 0) return null;
  return (
    <Panel title={t.stats.steps} flush>
      <table className="table" data-testid="step-stats">
        <thead><tr><th>{t.zap.steps}</th><th className="fit end">{t.stats.attempts}</th><th className="fit end">{t.stats.failedOf}</th><th className="fit end">{t.stats.worst}</th></tr></thead>
        <tbody>
          {ids.map((id) => {
            const mine = (found.data ?? []).filter((item) => item.step_id === id);
            const [all, bad] = [mine.reduce((sum, item) => sum + Object.values(item.runs).reduce((inner, count) => inner + count, 0), 0), total(mine, "runs", ["failed", "timed_out"])];
            return (
              <tr key={id}>
                <td className="full"><code className="wrap-any">{id}</code></td>
                <td className="fit number end"><span className="label-narrow">{t.stats.attempts}: </span>{many(all)}</td>
                <td className="fit end number"><span className="label-narrow">{t.stats.failedOf}: </span>{many(bad)}{all > 0 && ` (${percent(bad / all)})`}</td>
                <td className="fit end number"><span className="label-narrow">{t.stats.worst}: </span>{took(Math.max(...mine.map((item) => item.run_ms.p95 ?? 0)))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}
