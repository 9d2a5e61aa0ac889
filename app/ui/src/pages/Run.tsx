/** One run: what started it, what became of each step, and what to do about it. */
import * as Tabs from "@radix-ui/react-tabs";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Ban, Braces, Link as LinkIcon, RotateCcw, SquareTerminal } from "lucide-react";
import { useState } from "react";
import { ApiError, type Run, api, data } from "../api/client";
import { ENDED, queryClient, runQuery, versionQuery, zapQuery } from "../api/queries";
import { CopyButton, Failed, Loading, Note, Page, Panel, copy } from "../parts/controls";
import { NotFound } from "../parts/broken";
import { Confirm, Menu, MenuItem } from "../parts/overlays";
import { RunBadge } from "../parts/status";
import { Ago, Moment, took, useNow } from "../parts/time";
import { StepDetail, TriggerDetail } from "../run/Detail";
import { Events } from "../run/Events";
import { Past } from "../run/Past";
import { Replay } from "../run/Replay";
import { StepTree } from "../run/StepTree";
import { t } from "../texts";
import { type Step, allSteps } from "../zap/steps";

export function RunPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const run = useQuery(runQuery(id));
  if (run.error instanceof ApiError && [400, 404].includes(run.error.status)) return <NotFound />;
  if (run.error && !run.data) return <Failed error={run.error} again={() => void run.refetch()} />;
  return run.data ? <Shown key={id} run={run.data} /> : <Loading />;
}

function Shown({ run }: { run: Run }) {
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { step?: string; tab?: string };
  const version = useQuery({ ...versionQuery(run.zap_id, run.zap_version), retry: false });
  const zap = useQuery({ ...zapQuery(run.zap_id), retry: false }).data?.zap;
  const [wish, setWish] = useState<"replay" | "cancel">();
  const steps = version.data?.definition.steps as Step[] | undefined;
  const all = steps ? [...allSteps(steps)] : [];
  const selected = search.step ?? run.error?.step_id ?? "trigger";
  const set = (change: object) => void navigate({ to: "/runs/$id", params: { id: run.id }, search: { ...search, ...change }, replace: true, resetScroll: false });
  const isActive = !ENDED.includes(run.status);
  const replayable = run.steps.filter((step) => step.replayable).map((step) => ({ id: step.id, kind: step.kind ?? "" }));
  return (
    <Page title={t.run.title(zap?.name ?? t.runs.deletedZap)} badge={<RunBadge status={run.status} />} actions={
      <>
        {isActive && <button type="button" className="button" onClick={() => setWish("cancel")} data-testid="cancel"><Ban aria-hidden />{t.run.cancel}</button>}
        <button type="button" className="button primary" onClick={() => setWish("replay")} data-testid="replay"><RotateCcw aria-hidden />{t.run.replay}</button>
        <Menu label={t.run.more}>
          <MenuItem icon={<Braces aria-hidden />} onSelect={() => void copy(JSON.stringify(run, null, 2))}>{t.run.copyJson}</MenuItem>
          {zap?.hook_url && run.trigger.method !== undefined && (
            <MenuItem icon={<SquareTerminal aria-hidden />} onSelect={() => void copy(curl(run, zap.hook_url as string))}>{t.run.copyCurl}</MenuItem>
          )}
          <MenuItem icon={<LinkIcon aria-hidden />} onSelect={() => void copy(location.href)}>{t.run.copyLink}</MenuItem>
        </Menu>
      </>
    }>
      <div className="stack">
        <Why run={run} />
        <Facts run={run} />
        <Tabs.Root value={search.tab ?? "steps"} onValueChange={(tab) => set({ tab: tab === "steps" ? undefined : tab })}>
          <Tabs.List className="tabs" aria-label={t.run.views}>
            <Tabs.Trigger value="steps">{t.run.steps}</Tabs.Trigger>
            <Tabs.Trigger value="past" data-testid="tab-past">{t.past.tab}</Tabs.Trigger>
            <Tabs.Trigger value="events" data-testid="tab-events">{t.run.events}</Tabs.Trigger>
          </Tabs.List>
          <Tabs.Content value="steps" tabIndex={-1}>
            <div className="run-columns">
              <StepTree run={run} steps={steps} selected={selected} select={(step) => set({ step })} />
              <div className="detail">
                {selected === "trigger" ? <TriggerDetail run={run} /> : (
                  <StepDetail key={selected} run={run} step={all.find((step) => step.id === selected)} found={run.steps.find((step) => step.id === selected)} />
                )}
              </div>
            </div>
          </Tabs.Content>
          <Tabs.Content value="past" tabIndex={-1}><Past run={run} steps={steps} all={all} /></Tabs.Content>
          <Tabs.Content value="events" tabIndex={-1}><Events id={run.id} /></Tabs.Content>
        </Tabs.Root>
      </div>
      {wish === "replay" && <Replay run={run} steps={replayable} onClose={() => setWish(undefined)} />}
      {wish === "cancel" && (
        <Confirm title={t.run.cancelTitle} action={t.run.cancel} danger onClose={() => setWish(undefined)} onConfirm={async () => {
          const path = { params: { path: { run_id: run.id } } };
          queryClient.setQueryData(runQuery(run.id).queryKey, await data(api.POST("/api/v1/runs/{run_id}/cancel", path)));
        }}>
          <p>{t.run.cancelAbout}</p>
        </Confirm>
      )}
    </Page>
  );
}

/** Why the run stands as it does, in a sentence. */
function Why({ run }: { run: Run }) {
  if (run.error && ["failed", "timed_out"].includes(run.status)) {
    return (
      <Note tone="bad">
        <strong>{run.error.step_id ? t.run.failedAt(run.error.step_id) : t.run.failed}</strong> {run.error.message} <code>{run.error.code}</code>
        {run.recovered_by && <div>{t.run.recoveredBy} <Link to="/runs/$id" params={{ id: run.recovered_by }}>{run.recovered_by}</Link></div>}
      </Note>
    );
  }
  if (run.error) return <Note tone="warn">{run.error.step_id && <><code>{run.error.step_id}</code>: </>}{run.error.message}</Note>;
  if (run.status === "filtered" && run.reason) return <Note>{t.run.stopped}{run.reason}</Note>;
  return null;
}

function Facts({ run }: { run: Run }) {
  const now = useNow();
  const isActive = !ENDED.includes(run.status);
  return (
    <Panel>
      <div className="row wrap facts-row">
        <Fact name={t.runs.started}><Moment at={run.started_at} /></Fact>
        <Fact name={isActive ? t.run.since : t.runs.took}><span className="number">{took(isActive ? now - Date.parse(run.started_at) : run.duration_ms)}</span></Fact>
        <Fact name={t.runs.source}>{t.sources[run.source] ?? run.source}</Fact>
        <Fact name={t.runs.zap}><Link to="/zaps/$id" params={{ id: run.zap_id }}>{t.run.version(run.zap_version)}</Link></Fact>
        {run.deadline && isActive && <Fact name={t.run.deadline}><Ago at={run.deadline} /></Fact>}
        {run.replay_of && <Fact name={t.run.replayOf}><Link className="mono" to="/runs/$id" params={{ id: run.replay_of }}>{run.replay_of.slice(-12)}</Link></Fact>}
        {(run.replays ?? []).length > 0 && (
          <Fact name={t.run.replays}>{run.replays?.slice(0, 5).map((id) => <span key={id}><Link className="mono" to="/runs/$id" params={{ id }}>{id.slice(-12)}</Link> </span>)}</Fact>
        )}
        <Fact name={t.run.id}><span className="row" style={{ gap: 2 }}><code className="wrap-any" data-testid="run-id">{run.id}</code><CopyButton text={run.id} label={t.common.copyOf(t.run.id)} /></span></Fact>
      </div>
    </Panel>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return <div><div className="small faint">{name}</div><div>{children}</div></div>;
}

/** The request as a command for a shell. */
function curl(run: Run, url: string): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const { method, body, headers, query_string } = run.trigger as Record<string, unknown>;
  const type = (headers as Record<string, string> | undefined)?.["content-type"] ?? "application/json";
  const content = body === null || body === undefined || body === "" ? [] : [`-d ${quoted(typeof body === "string" ? body : JSON.stringify(body))}`];
  return [`curl -X ${method ?? "POST"} ${quoted(url + (query_string ? `?${query_string}` : ""))}`, `-H ${quoted(`Content-Type: ${type}`)}`, ...content].join(" \\\n  ");
}
