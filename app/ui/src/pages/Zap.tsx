/** One zap: how it is reached, what it does, how its runs end; its draft and its versions. */
import * as Tabs from "@radix-ui/react-tabs";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Activity, Pause, Play, Send } from "lucide-react";
import { Suspense, lazy } from "react";
import { ApiError, type Zap } from "../api/client";
import { healthQuery, runsQuery, zapQuery } from "../api/queries";
import { CodeBlock, Copyable, Empty, Failed, Loading, Note, Page, Panel } from "../parts/controls";
import { fetched } from "../parts/fetched";
import { NotFound } from "../parts/broken";
import { More } from "../parts/More";
import { Menu } from "../parts/overlays";
import { RunRows } from "../parts/Runs";
import { ZapBadge } from "../parts/status";
import { Ago } from "../parts/time";
import { t } from "../texts";
import { Backtest } from "../zap/Backtest";
import { Outline } from "../zap/Outline";
import { Registration } from "../zap/Registration";
import { Secrets } from "../zap/Secrets";
import { Then } from "../zap/Then";
import { Turns } from "../zap/Turns";
import { Versions } from "../zap/Versions";
import { useZapActions } from "../zap/actions";
import type { Step } from "../zap/steps";
import { Rate } from "./Zaps";

const Editor = lazy(async () => ({ default: (await fetched(() => import("../editor/Editor"))).Editor }));

export function ZapPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const found = useQuery(zapQuery(id));
  if (found.error instanceof ApiError && [400, 404].includes(found.error.status)) return <NotFound />;
  if (found.error && !found.data) return <Failed error={found.error} again={() => void found.refetch()} />;
  return found.data ? <Shown key={id} zap={found.data.zap} etag={found.data.etag} /> : <Loading />;
}

function Shown({ zap, etag }: { zap: Zap; etag: string | null }) {
  const navigate = useNavigate();
  const { tab = "overview" } = useSearch({ strict: false }) as { tab?: string };
  const { items, dialogs, publish, toggle } = useZapActions(zap);
  const canPublish = zap.status === "draft" || zap.draft_differs;
  return (
    <Page title={zap.name} badge={<ZapBadge status={zap.status} />} actions={
      <>
        {zap.status === "enabled" && <button type="button" className="button" onClick={toggle}><Pause aria-hidden />{t.zap.pause}</button>}
        {zap.status === "paused" && <button type="button" className="button" onClick={toggle}><Play aria-hidden />{t.zap.enable}</button>}
        {canPublish && tab !== "draft" && <button type="button" className="button primary" onClick={publish} data-testid="publish"><Send aria-hidden />{t.zap.publish}</button>}
        <Menu label={t.zaps.actionsOf(zap.name)}>{items}</Menu>
        {dialogs}
      </>
    }>
      <div className="stack tight">
        {zap.flags.map((flag) => (
          <Note key={flag.kind} tone="warn"><strong>{t.flags[flag.kind] ?? flag.kind}</strong> {flag.step_id && <code>{flag.step_id}</code>} {flag.detail} {t.zap.since} <Ago at={flag.since} />.</Note>
        ))}
      </div>
      <Tabs.Root value={tab} onValueChange={(next) => void navigate({ to: "/zaps/$id", params: { id: zap.id }, search: next === "overview" ? {} : { tab: next }, replace: true })}>
        <Tabs.List className="tabs" aria-label={t.zap.views}>
          <Tabs.Trigger value="overview">{t.zap.overview}</Tabs.Trigger>
          <Tabs.Trigger value="draft" data-testid="tab-draft">{t.zap.draft}</Tabs.Trigger>
          <Tabs.Trigger value="backtest" data-testid="tab-backtest">{t.backtest.tab}</Tabs.Trigger>
          <Tabs.Trigger value="versions" data-testid="tab-versions">{t.zap.versions}</Tabs.Trigger>
          <Tabs.Trigger value="history" data-testid="tab-history">{t.then.tab}</Tabs.Trigger>
        </Tabs.List>
        <Tabs.Content value="overview" tabIndex={-1}><Overview zap={zap} /></Tabs.Content>
        <Tabs.Content value="draft" tabIndex={-1}><Suspense fallback={<Loading />}><Editor key={zap.id} zap={zap} etag={etag} /></Suspense></Tabs.Content>
        <Tabs.Content value="backtest" tabIndex={-1}><Backtest zap={zap} /></Tabs.Content>
        <Tabs.Content value="versions" tabIndex={-1}><Versions zap={zap} /></Tabs.Content>
        <Tabs.Content value="history" tabIndex={-1}><Then zap={zap} /></Tabs.Content>
      </Tabs.Root>
    </Page>
  );
}

function Overview({ zap }: { zap: Zap }) {
  const health = useQuery({ ...healthQuery(zap.id), refetchInterval: 5_000 }).data;
  const runs = useInfiniteQuery(runsQuery({ zap_id: zap.id }, 8));
  const items = runs.data?.pages.flatMap((page) => page.items) ?? [];
  const triggers = zap.draft.trigger ? [zap.draft.trigger.type] : (zap.draft.triggers ?? []).map((trigger) => trigger.type);
  return (
    <div className="split">
      <div className="stack">
        {zap.status === "draft" && <Note tone="info">{t.zap.draftAbout}</Note>}
        {zap.status === "paused" && <Note tone="warn">{t.zap.pausedAbout} <Link to="/requests" search={{ zap_id: zap.id }}>{t.zap.seeRequests}</Link></Note>}
        {zap.warnings.length > 0 && (
          <Note tone="warn">{t.zap.warnings}<ul>{zap.warnings.map((one) => <li key={`${one.path} ${one.code}`}><code>{one.path}</code> {one.reason}</li>)}</ul></Note>
        )}
        {zap.draft_differs && zap.status !== "draft" && <Note tone="info">{t.zap.differs}</Note>}
        <Panel title={t.zap.runs} flush actions={<Link className="button small quiet" to="/runs" search={{ zap_id: zap.id }}>{t.zap.allRuns}</Link>}>
          {runs.error && <Failed error={runs.error} again={() => void runs.refetch()} />}
          {runs.isPending && !runs.error && <Loading />}
          {runs.data && items.length === 0 && <FirstRun zap={zap} />}
          {items.length > 0 && (
            <>
              <RunRows runs={items} withZap={false} paged={(runs.data?.pages.length ?? 0) > 1} />
              <More shown={items.length} query={runs} />
            </>
          )}
        </Panel>
        <Panel title={t.zap.steps} actions={<Link className="button small quiet" to="/zaps/$id" params={{ id: zap.id }} search={{ tab: "draft" }}>{t.zap.edit}</Link>}>
          <Outline steps={(zap.draft.steps ?? []) as Step[]} />
        </Panel>
      </div>
      <div className="stack">
        {zap.hook_url && (
          <Panel title={t.zap.hook}>
            <div className="stack tight">
              <Copyable text={zap.hook_url} label={t.zap.hook} testId="hook-url" />
              <p className="small faint">{t.zap.hookAbout}</p>
              {items.length > 0 && <CodeBlock text={curl(zap.hook_url)} label={t.zap.curl} />}
              <Link className="small" to="/requests" search={{ zap_id: zap.id }}>{t.zap.seeRequests}</Link>
            </div>
          </Panel>
        )}
        <Turns zap={zap} />
        <Registration zap={zap} />
        <Secrets zap={zap} />
        <Panel title={t.zap.facts}>
          <dl className="facts">
            <dt>{t.zap.trigger}</dt><dd>{triggers.map((type) => t.triggers[type as keyof typeof t.triggers] ?? type).join(", ")}</dd>
            <dt>{t.zap.live}</dt><dd>{zap.version ? t.run.version(zap.version) : t.zap.never}</dd>
            {health && health.completed + health.failed > 0 && <><dt>{t.zaps.ends}</dt><dd><Rate completed={health.completed} failed={health.failed} /></dd></>}
            {health?.last_completed_at && <><dt>{t.zap.lastGood}</dt><dd><Ago at={health.last_completed_at} /></dd></>}
            {health?.last_failed_at && <><dt>{t.zap.lastBad}</dt><dd><Ago at={health.last_failed_at} /></dd></>}
            <dt>{t.zaps.changed}</dt><dd><Ago at={zap.updated_at} /></dd>
            <dt>{t.zap.id}</dt><dd className="mono small">{zap.id}</dd>
          </dl>
        </Panel>
      </div>
    </div>
  );
}

/** Nothing has run yet: how to start the first run, which then appears here by itself. */
function FirstRun({ zap }: { zap: Zap }) {
  if (zap.status !== "enabled") return <Empty icon={<Activity aria-hidden />} title={t.runs.none}>{t.zap.noRunsOfDraft}</Empty>;
  if (!zap.hook_url) return <Empty icon={<Activity aria-hidden />} title={t.runs.none}>{t.zap.noRunsOfOther}</Empty>;
  return (
    <div className="body" style={{ padding: 16 }} data-testid="first-run">
      <div className="stack tight">
        <h3>{t.zap.tryTitle}</h3>
        <p className="soft">{t.zap.tryAbout}</p>
        <CodeBlock text={curl(zap.hook_url)} label={t.zap.curl} />
        <p className="row soft" role="status"><Activity aria-hidden size={15} />{t.zap.listening}</p>
      </div>
    </div>
  );
}

function curl(url: string): string {
  return `curl -X POST '${url}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"customer": {"email": "ada@example.com"}, "total": 42.5}'`;
}

