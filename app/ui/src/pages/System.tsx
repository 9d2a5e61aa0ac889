/** Whether this TriggerHub works, where it is, and what there is to read about it. */
import { useQuery } from "@tanstack/react-query";
import { Check, X } from "lucide-react";
import { root } from "../api/session";
import { type SystemState, api, data } from "../api/client";
import { Copyable, Failed, Loading, Note, Page, Panel } from "../parts/controls";
import { Moment, size } from "../parts/time";
import { t } from "../texts";

/** Events that the relay may be behind, as long as nobody needs to look; as `triggerhub doctor` has it. */
const MOST_BEHIND = 100_000;

interface Health { status: string; failing?: string[] }

/** Health speaks with its status code, too. */
async function ask(path: string): Promise<Health> {
  return (await fetch(root + path)).json() as Promise<Health>;
}

export function System() {
  const alive = useQuery({ queryKey: ["healthz"], queryFn: () => ask("/healthz"), refetchInterval: 5_000, retry: false });
  const ready = useQuery({ queryKey: ["readyz"], queryFn: () => ask("/readyz"), refetchInterval: 5_000, retry: false });
  return (
    <Page title={t.nav.system} about={t.system.about}>
      <div className="stack">
        <Panel title={t.system.state}>
          <dl className="facts">
            <dt>{t.system.api}</dt>
            <dd><State isGood={alive.data?.status === "ok"} words={alive.data ? t.system.answers : t.system.silent} /></dd>
            <dt>{t.system.requests}</dt>
            <dd><State isGood={ready.data?.status === "ok"} words={ready.data?.status === "ok" ? t.system.takes : t.system.refuses((ready.data?.failing ?? []).join(", "))} /></dd>
          </dl>
          {alive.error && <Failed error={alive.error} />}
        </Panel>
        <Sizes />
        <Panel title={t.system.addresses}>
          <dl className="facts">
            <dt>{t.system.ui}</dt><dd><Copyable text={root} label={t.system.ui} /></dd>
            <dt>{t.system.api}</dt><dd><Copyable text={`${root}/api/v1`} label={t.system.api} /></dd>
            <dt>{t.system.ready}</dt><dd><Copyable text={`${root}/readyz`} label={t.system.ready} /></dd>
          </dl>
        </Panel>
        <Panel title={t.system.read}>
          <ul className="stack close">
            {([["/docs/guide", t.system.guide], ["/docs", t.system.docs], ["/docs/reference", t.system.reference], ["/docs/guide/operating", t.system.operating], ["/licenses.txt", t.system.licences]] as const).map(([path, name]) => (
              <li key={path}><a href={root + path}>{name}</a></li>
            ))}
          </ul>
        </Panel>
      </div>
    </Page>
  );
}

/** How large everything is, what lags, and what to do about it. */
function Sizes() {
  const state = useQuery({ queryKey: ["system"], queryFn: ({ signal }) => data(api.GET("/api/v1/system", { signal })), refetchInterval: 30_000 });
  return (
    <Panel title={t.system.sizes}>
      {state.isPending && <Loading />}
      {state.error && <Failed error={state.error} />}
      {state.data && (
        <div className="stack" data-testid="sizes">
          <Own of={state.data.own} />
          {state.data.installation ? <Numbers state={state.data.installation} /> : <p className="small soft">{t.system.others}</p>}
        </div>
      )}
    </Panel>
  );
}

function Own({ of }: { of: SystemState["own"] }) {
  return (
    <dl className="facts">
      <dt>{t.system.runs}</dt><dd>{t.system.some(of.runs)} <span className="faint">{t.system.about1(size(of.run_bytes))}</span></dd>
      <dt>{t.system.runsOfDay}</dt><dd>{t.system.aDayOf(of.runs_of_last_day, size(of.runs_of_last_day * of.run_bytes))}</dd>
      {of.oldest_run && <><dt>{t.system.oldest}</dt><dd><Moment at={of.oldest_run} /></dd></>}
      <dt>{t.system.files}</dt><dd>{size(of.file_bytes)}</dd>
      <dt>{t.system.held}</dt><dd>{size(of.held_bytes)}</dd>
    </dl>
  );
}

function Numbers({ state }: { state: NonNullable<SystemState["installation"]> }) {
  const growth = (state.log_bytes / Math.max(state.events, 1)) * state.events_of_last_day;
  return (
    <div className="stack">
      <h3>{t.system.installation}</h3>
      <dl className="facts">
        <dt>{t.system.log}</dt><dd>{size(state.log_bytes)} <span className="faint">{t.system.events(state.events)}</span></dd>
        <dt>{t.system.growth}</dt><dd>{t.system.aDay(size(growth), state.events_of_last_day)}</dd>
        <dt>{t.system.readModels}</dt><dd>{size(state.read_model_bytes)}</dd>
        <dt>{t.system.rest}</dt><dd>{size(state.rest_bytes)}</dd>
        <dt>{t.system.relay}</dt><dd><State isGood={state.relay_behind <= MOST_BEHIND} words={t.system.behind(state.relay_behind)} /></dd>
      </dl>
      {state.relay_behind > MOST_BEHIND && <Note tone="warn">{t.system.relayRemedy}</Note>}
      {state.dead_rows.map((one) => <Note key={one.table} tone="warn">{t.system.deadRows(one.table, one.dead, one.live)}</Note>)}
      {state.read_models.filter((one) => one.parked > 0).map((one) => <Note key={one.name} tone="warn">{t.system.parked(one.name, one.parked)}</Note>)}
      <div className="table-wrap" tabIndex={0} role="region" aria-label={t.system.readModels}>
        <table className="table">
          <thead><tr>{t.system.modelColumns.map((name) => <th key={name}>{name}</th>)}</tr></thead>
          <tbody>{state.read_models.map((one) => (
            <tr key={one.name}><td><code>{one.name}</code></td><td className="number">{size(one.bytes)}</td><td className="number">{t.system.behind(one.behind)}</td></tr>
          ))}</tbody>
        </table>
      </div>
    </div>
  );
}

function State({ isGood, words }: { isGood: boolean; words: string }) {
  return <span className={`badge ${isGood ? "good" : "bad"}`}>{isGood ? <Check aria-hidden /> : <X aria-hidden />}{words}</span>;
}
