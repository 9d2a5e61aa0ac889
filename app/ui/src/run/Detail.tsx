/** What went into a step and what came out of it; for each attempt, too. */
import { useState } from "react";
import type { Attempt, Run, RunStep } from "../api/client";
import { runValue } from "../api/queries";
import { Note, Panel } from "../parts/controls";
import { Json } from "../parts/Json";
import { StepMark } from "../parts/status";
import { Ago, Moment, took } from "../parts/time";
import { t } from "../texts";
import { ApprovalOf, Items } from "./Waiting";
import { type Step, branches, kindName, summary } from "../zap/steps";

const isNothing = (value: unknown) => value === undefined || value === null;

export function TriggerDetail({ run }: { run: Run }) {
  const load = (path: string) => runValue(run.id, path);
  const { method, path, query, query_string: _, headers, body, ...others } = run.trigger;
  const isHook = method !== undefined;
  return (
    <Panel title={t.run.trigger}>
      <div className="stack tight" data-testid="trigger-detail">
        {isHook && run.source === "webhook" && <p className="mono wrap-any">{String(method)} {String(path || "/")}</p>}
        {isHook ? <Json value={body} title={t.run.body} path="trigger.body" load={load} /> : <Json value={run.trigger} title={t.run.data} path="trigger" load={load} />}
        {isHook && Object.keys(others).length > 0 && <Json value={others} title={t.run.data} path="trigger" load={load} />}
        {hasItems(query) && <Json value={query} title={t.run.query} path="trigger.query" />}
        {hasItems(headers) && <OnDemand label={t.run.headers}><Json value={headers} title={t.run.headers} path="trigger.headers" /></OnDemand>}
      </div>
    </Panel>
  );
}

function hasItems(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

function OnDemand({ label, children }: { label: string; children: React.ReactNode }) {
  const [isOpen, setOpen] = useState(false);
  if (isOpen) return children;
  return <div><button type="button" className="button small" aria-expanded={false} onClick={() => setOpen(true)}>{t.run.show(label)}</button></div>;
}

export function StepDetail({ run, step, found }: { run: Run; step: Step | undefined; found: RunStep | undefined }) {
  const id = found?.id ?? step?.id ?? "";
  const load = (path: string) => runValue(run.id, path);
  const status = found?.status ?? "untouched";
  const attempts = found?.attempts ?? [];
  return (
    <Panel title={<span className="row"><StepMark status={status} /><span className="clip">{id}</span></span>}
      actions={<span className="small faint">{step && kindName(step.kind)}</span>}>
      <div className="stack tight" data-testid="step-detail">
        {step && <p className="soft wrap-any">{summary(step)}</p>}
        {!found && <Note>{run.status === "queued" || run.status === "running" || run.status === "waiting" ? t.run.notYet : t.run.never}</Note>}
        {found?.error && (
          <Note tone="bad">
            <strong>{found.error.message}</strong> <code>{found.error.code}</code>
            {!found.waits_until && hint(found.error.code) && <div>{hint(found.error.code)}</div>}
          </Note>
        )}
        {found?.why && !found.error && <Note>{found.why}</Note>}
        {found?.approval && <ApprovalOf runId={run.id} stepId={id} />}
        {found?.loop && <Items runId={run.id} stepId={id} loop={found.loop} isActive={!found.finished_at} />}
        {found?.postponed && <Note tone="warn">{found.postponed.message} {t.run.again} <Ago at={found.postponed.until} />.</Note>}
        {found?.waits_until && !found.postponed && found.status === "waiting" && <Note tone="warn">{attempts.length ? t.run.retryAt : found.kind === "approval" || found.kind === "wait_for" ? t.run.waitsAtMost : t.run.waitsUntil} <Moment at={found.waits_until} />.</Note>}
        {found?.decision && <Decision step={step} decision={found.decision} />}
        {!isNothing(found?.output) && <Json value={found?.output} title={t.run.output} path={`steps.${id}.output`} load={load} />}
        {attempts.length > 0 && <Attempts attempts={attempts} step={found as RunStep} />}
        {!isNothing(found?.input) && <Json value={found?.input} title={t.run.input} path={`steps.${id}.input`} load={load} />}
        {Object.entries(found?.not_kept ?? {}).map(([pointer, omitted]) => (
          <p key={pointer} className="small faint wrap-any">{t.run.notKept(pointer)} {JSON.stringify(omitted)}</p>
        ))}
      </div>
    </Panel>
  );
}

function hint(code: string): string | undefined {
  return (t.hints as Record<string, string>)[code] ?? (/^http_4/.test(code) ? t.hints.http_4xx : /^http_5/.test(code) ? t.hints.http_5xx : undefined);
}

function Decision({ step, decision }: { step: Step | undefined; decision: NonNullable<RunStep["decision"]> }) {
  if (decision.kind === "filter") {
    return <Note tone={decision.passes ? "good" : "plain"}>{decision.passes ? t.run.letThrough : t.run.stopped}{decision.reason}</Note>;
  }
  const titles = new Map(step ? branches(step).map((branch) => [branch.id, branch.title]) : []);
  const ids = [...new Set([...Object.keys(decision.reasons), ...decision.taken])];
  return (
    <ul className="stack close" data-testid="decision">
      {ids.map((id) => {
        const isTaken = decision.taken.includes(id);
        return (
          <li key={id} className={`note ${isTaken ? "good" : ""}`}>
            <span className="wrap-any"><strong>{titles.get(id) ?? id}</strong> {isTaken ? t.run.taken : t.run.notTaken}{decision.reasons[id] ? `: ${decision.reasons[id]}` : ""}</span>
          </li>
        );
      })}
    </ul>
  );
}

function Attempts({ attempts, step }: { attempts: readonly Attempt[]; step: RunStep }) {
  const [open, setOpen] = useState<number | undefined>(attempts.at(-1)?.error ? attempts.at(-1)?.attempt : undefined);
  return (
    <section aria-label={t.run.attemptsTitle}>
      <h3 style={{ margin: "4px 0" }}>{t.run.attemptsTitle}</h3>
      <ol className="stack close">
        {[...attempts].reverse().map((attempt) => (
          <li key={attempt.attempt} className="panel" data-testid="attempt">
            <button type="button" className="button quiet" style={{ width: "100%", justifyContent: "flex-start", whiteSpace: "normal" }}
              aria-expanded={open === attempt.attempt} onClick={() => setOpen(open === attempt.attempt ? undefined : attempt.attempt)}>
              <StepMark status={attempt.error ? "failed" : "succeeded"} />
              <span className="number">{t.run.attempt(attempt.attempt)}</span>
              <span className="faint small"><Ago at={attempt.started_at} /> · {took(attempt.duration_ms)}</span>
              {attempt.error && <code className="badge bad">{attempt.error.code}</code>}
            </button>
            {open === attempt.attempt && (
              <div className="body stack tight">
                <p className="small soft"><Moment at={attempt.started_at} /></p>
                {attempt.error && <p className="wrap-any">{attempt.error.message}</p>}
                {!isNothing(attempt.error?.output) && <Json value={attempt.error?.output} title={t.run.answer} path="error.output" />}
                {attempt.retry_at && attempt.retry_at !== step.waits_until && <p className="small soft">{t.run.retriedAt} <Moment at={attempt.retry_at} /></p>}
                {!isNothing(attempt.input) && attempt.input !== step.input && <Json value={attempt.input} title={t.run.inputThen} path="input" />}
                {!attempt.error && <p className="small soft">{t.run.outputAbove}</p>}
              </div>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
