/** Statuses: a colour, a picture and a word, so that colour is never the only sign. */
import { Ban, Check, CircleDashed, Clock, Filter, Hourglass, LoaderCircle, Minus, Pause, Pencil, Timer, Trash2, X } from "lucide-react";
import type { ReactNode } from "react";
import type { Job, RunStatus, RunStep, ZapSummary } from "../api/client";
import { t } from "../texts";

type Tone = "good" | "bad" | "warn" | "info" | "rest";
interface Look { tone: Tone; icon: ReactNode }

const RUN: Record<RunStatus, Look> = {
  queued: { tone: "rest", icon: <CircleDashed aria-hidden /> },
  running: { tone: "info", icon: <LoaderCircle className="spin" aria-hidden /> },
  waiting: { tone: "warn", icon: <Clock aria-hidden /> },
  completed: { tone: "good", icon: <Check aria-hidden /> },
  filtered: { tone: "rest", icon: <Filter aria-hidden /> },
  failed: { tone: "bad", icon: <X aria-hidden /> },
  cancelled: { tone: "rest", icon: <Ban aria-hidden /> },
  timed_out: { tone: "bad", icon: <Timer aria-hidden /> },
};
export const RUN_STATUSES = Object.keys(RUN) as RunStatus[];

export function RunBadge({ status }: { status: RunStatus }) {
  const { tone, icon } = RUN[status] ?? { tone: "rest", icon: null };
  return <span className={`badge ${tone}`} data-testid="run-status">{icon}{t.runStatus[status] ?? status}</span>;
}

export type StepStatus = NonNullable<RunStep["status"]> | "untouched";
const STEP: Record<StepStatus, Look> = {
  waiting: { tone: "warn", icon: <Clock aria-hidden /> },
  running: { tone: "info", icon: <LoaderCircle className="spin" aria-hidden /> },
  succeeded: { tone: "good", icon: <Check aria-hidden /> },
  filtered: { tone: "rest", icon: <Filter aria-hidden /> },
  failed: { tone: "bad", icon: <X aria-hidden /> },
  cancelled: { tone: "rest", icon: <Ban aria-hidden /> },
  pending: { tone: "rest", icon: <CircleDashed aria-hidden /> },
  skipped: { tone: "rest", icon: <Minus aria-hidden /> },
  untouched: { tone: "rest", icon: <CircleDashed aria-hidden /> },
};

export function StepMark({ status }: { status: StepStatus }) {
  const { tone, icon } = STEP[status] ?? STEP.untouched;
  return <span className={`mark ${tone}`}>{icon}</span>;
}

const ZAP: Record<ZapSummary["status"], Look> = {
  draft: { tone: "rest", icon: <Pencil aria-hidden /> },
  enabled: { tone: "good", icon: <Check aria-hidden /> },
  paused: { tone: "warn", icon: <Pause aria-hidden /> },
  deleted: { tone: "rest", icon: <Trash2 aria-hidden /> },
};

export function ZapBadge({ status }: { status: ZapSummary["status"] }) {
  const { tone, icon } = ZAP[status];
  return <span className={`badge ${tone}`} data-testid="zap-status">{icon}{t.zapStatus[status]}</span>;
}

const JOB: Record<Job["status"], Look> = {
  running: { tone: "info", icon: <LoaderCircle className="spin" aria-hidden /> },
  paused: { tone: "warn", icon: <Hourglass aria-hidden /> },
  completed: { tone: "good", icon: <Check aria-hidden /> },
  aborted: { tone: "rest", icon: <Ban aria-hidden /> },
};

export function JobBadge({ status }: { status: Job["status"] }) {
  const { tone, icon } = JOB[status];
  return <span className={`badge ${tone}`} data-testid="job-status">{icon}{t.jobStatus[status]}</span>;
}
