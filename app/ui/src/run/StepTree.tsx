/** The zap's steps with what became of each in this run; steps that the run never came to are there, too. */
import { CornerDownRight, Webhook } from "lucide-react";
import type { Run, RunStep } from "../api/client";
import { StepMark, type StepStatus } from "../parts/status";
import { took, useNow } from "../parts/time";
import { t } from "../texts";
import { type Step, allSteps, branches, kindName, summary } from "../zap/steps";
import { bars, span } from "./timeline";

interface Shown { run: Run; now: number; selected: string; select: (id: string) => void; byId: ReadonlyMap<string, RunStep> }

export function StepTree({ run, steps, selected, select }: {
  run: Run; steps: readonly Step[] | undefined; selected: string; select: (id: string) => void;
}) {
  const now = useNow();
  const byId = new Map(run.steps.map((step) => [step.id, step]));
  const known = new Set(steps ? [...allSteps(steps)].map((step) => step.id) : []);
  // Of a definition that is gone, or a step that it does not have: what the run says.
  const others = run.steps.filter((step) => !known.has(step.id)).map((step) => ({ id: step.id, kind: "" }));
  const shown = { run, now, selected, select, byId };
  return (
    <div className="steps">
      <button type="button" className="step" aria-pressed={selected === "trigger"} onClick={() => select("trigger")} data-testid="step-trigger">
        <span className="row">
          <span className="mark info"><Webhook aria-hidden /></span>
          <span className="name">{t.run.trigger}</span>
          <span className="about clip">{t.sources[run.source] ?? run.source}</span>
        </span>
      </button>
      <Level steps={[...(steps ?? []), ...others]} shown={shown} isReached />
    </div>
  );
}

function Level({ steps, shown, isReached }: { steps: readonly Step[]; shown: Shown; isReached: boolean }) {
  return (
    <ol className="steps">
      {steps.map((step) => {
        const found = shown.byId.get(step.id);
        const taken = found?.decision?.kind === "paths" ? found.decision.taken : undefined;
        return (
          <li key={step.id}>
            <StepLine step={step} found={found} shown={shown} isReached={isReached} />
            {branches(step).map((branch) => {
              const isTaken = taken ? taken.includes(branch.id) : [...allSteps(branch.steps)].some((inner) => isReachedStep(shown.byId.get(inner.id)));
              return (
                <div className={`branch${isTaken ? "" : " idle"}`} key={branch.id}>
                  <div className="title">
                    <CornerDownRight aria-hidden size={13} />
                    {branch.title}
                    {taken && <span className="faint">{isTaken ? t.run.taken : t.run.notTaken}</span>}
                  </div>
                  <Level steps={branch.steps} shown={shown} isReached={isTaken} />
                </div>
              );
            })}
          </li>
        );
      })}
    </ol>
  );
}

const isReachedStep = (found: RunStep | undefined) => found !== undefined && !["pending", "skipped"].includes(found.status ?? "");

/** Of steps that only hold others, and leave no record of their own: as those inside. */
function around(step: Step, byId: Shown["byId"]): StepStatus {
  const inner = branches(step).flatMap((branch) => [...allSteps(branch.steps)]).flatMap((one) => byId.get(one.id) ?? []);
  const open = inner.find((one) => one.status === "waiting" || one.status === "running");
  return open?.status ?? (inner.length > 0 ? "succeeded" : "untouched");
}

function StepLine({ step, found, shown, isReached }: { step: Step; found: RunStep | undefined; shown: Shown; isReached: boolean }) {
  const status = found?.status ?? around(step, shown.byId);
  const whole = span(shown.run, shown.now);
  const attempts = found?.attempts?.length ?? 0;
  const words = status !== "untouched" ? t.stepStatus[status] : isReached ? t.stepStatus.untouched : t.stepStatus.passed;
  return (
    <button type="button" className={`step${["untouched", "pending", "skipped"].includes(status) ? " idle" : ""}`} aria-pressed={shown.selected === step.id}
      onClick={() => shown.select(step.id)} data-testid={`step-${step.id}`} data-status={status}>
      <span className="row">
        <StepMark status={status} />
        <span className="name nowrap">{step.id}</span>
        <span className="about clip">{kindName(step.kind)} {summary(step)}</span>
        <span className="hidden">{words}</span>
      </span>
      <span className="row">
        <span className="bars grow" aria-hidden>
          {found && bars(found, whole).map((bar) => (
            <i key={`${bar.from} ${bar.tone}`} className={bar.tone} style={{ left: `min(${bar.from * 100}%, 100% - 2px)`, width: `${(bar.to - bar.from) * 100}%` }} />
          ))}
        </span>
        <span className="took">{found?.duration_ms != null ? took(found.duration_ms) : found?.attempts?.length ? "" : "–"}</span>
      </span>
      {found?.error && <span className="said bad">{attempts > 1 ? t.run.attempts(attempts) : ""}{found.error.message}</span>}
      {found?.decision?.kind === "filter" && <span className="said">{found.decision.passes ? t.run.letThrough : t.run.stopped}{found.decision.reason}</span>}
      {found?.why && !found.error && <span className="said">{found.why}</span>}
      {found?.postponed && <span className="said">{found.postponed.message}</span>}
    </button>
  );
}
