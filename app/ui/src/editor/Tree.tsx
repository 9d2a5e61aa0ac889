/** The draft as a tree of nested frames, laid out by the page: nothing is dragged, and no coordinates are stored. */
import { Bell, CornerDownRight, Filter, GitFork, Globe, Hourglass, Plus, Repeat, Reply, Settings2, ShieldAlert, SquareFunction, StopCircle, TriangleAlert, UserCheck, Webhook, Workflow } from "lucide-react";
import type { ReactNode } from "react";
import type { RunStep } from "../api/client";
import { StepMark } from "../parts/status";
import { t } from "../texts";
import { type Step, branches, kindName, summary } from "../zap/steps";
import { type Draft, type Place, triggersOf } from "./draft";
import { w } from "./words";

export interface Shown {
  draft: Draft; selected: string; select: (key: string) => void; add: (list: Place, index: number) => void;
  wrong: ReadonlySet<string>; tested: ReadonlyMap<string, RunStep>;
}

const ICONS: Record<string, ReactNode> = {
  action: <Globe aria-hidden />, filter: <Filter aria-hidden />, paths: <GitFork aria-hidden />, for_each: <Repeat aria-hidden />, try: <ShieldAlert aria-hidden />, set: <SquareFunction aria-hidden />,
  delay: <Hourglass aria-hidden />, approval: <UserCheck aria-hidden />, wait_for: <Bell aria-hidden />, zap: <Workflow aria-hidden />, stop: <StopCircle aria-hidden />, return: <Reply aria-hidden />,
};

export function iconOf(kind: string): ReactNode {
  return ICONS[kind] ?? <Globe aria-hidden />;
}

export function Tree({ shown }: { shown: Shown }) {
  const { draft } = shown;
  return (
    <div className="draft-tree">
      {triggersOf(draft).map(([trigger, place], index) => (
        <Card key={place.join(".")} cardKey={`trigger:${index}`} testId={index === 0 ? "step-trigger" : `step-trigger-${trigger.id}`} shown={shown}
          icon={<Webhook aria-hidden />} name={trigger.id ? `${w.trigger} ${trigger.id}` : w.trigger} about={t.triggers[trigger.type as keyof typeof t.triggers] ?? trigger.type} />
      ))}
      <Card cardKey="settings" testId="step-settings" shown={shown} icon={<Settings2 aria-hidden />} name={w.settings} about={w.settingsAbout(draft.settings)} />
      <Level steps={draft.steps} list={["steps"]} where={w.start} shown={shown} />
    </div>
  );
}

function Level({ steps, list, where, shown }: { steps: readonly Step[]; list: Place; where: string; shown: Shown }) {
  return (
    <ol className="level" aria-label={`${t.zap.steps}: ${where}`}>
      {steps.map((step, index) => (
        <li key={step.id || index}>
          <Add label={w.addHere(w.before(step.id))} onAdd={() => shown.add(list, index)} />
          <Card cardKey={step.id} testId={`step-${step.id}`} shown={shown} icon={iconOf(step.kind)} name={step.id} about={`${kindName(step.kind)} ${summary(step)}`} found={shown.tested.get(step.id)} />
          {branches(step).length > 0 && (
            <div className="frames">
              {branches(step).map((branch) => (
                <div key={branch.id} className={`frame-box${branch.id === "on_error" || branch.id === "rejected" ? " error" : ""}`} role="group" aria-label={`${step.id}: ${branch.title}`}>
                  <div className="title small soft row"><CornerDownRight aria-hidden size={13} />{branch.title}<Taken found={shown.tested.get(step.id)} id={branch.id} /></div>
                  <Level steps={branch.steps} list={[...list, index, ...branch.place]} where={`${step.id}, ${branch.title}`} shown={shown} />
                </div>
              ))}
            </div>
          )}
        </li>
      ))}
      <li><Add label={w.addHere(w.atEnd(where))} onAdd={() => shown.add(list, steps.length)} last shown={steps.length === 0} text={list.length === 1 && steps.length === 0 ? w.first : undefined} /></li>
    </ol>
  );
}

/** Which paths a test has taken. */
function Taken({ found, id }: { found: RunStep | undefined; id: string }) {
  const decision = found?.decision;
  if (decision?.kind !== "paths") return null;
  return <span className="badge">{decision.taken.includes(id) ? t.run.taken : t.run.notTaken}</span>;
}

function Card({ cardKey, testId, shown, icon, name, about, found }: {
  cardKey: string; testId: string; shown: Shown; icon: ReactNode; name: string; about: string; found?: RunStep | undefined;
}) {
  const isSelected = shown.selected === cardKey;
  const isWrong = shown.wrong.has(cardKey);
  return (
    <button type="button" className={`card${isWrong ? " wrong" : ""}`} aria-pressed={isSelected} tabIndex={isSelected ? 0 : -1} data-walk={cardKey} data-testid={testId}
      onClick={() => shown.select(cardKey)}>
      <span className="mark">{icon}</span>
      <span className="grow clip"><span className="name">{name}</span> <span className="small faint">{about}</span></span>
      {isWrong && <span className="mark bad"><TriangleAlert aria-hidden /><span className="hidden">{w.problems(1)}</span></span>}
      {found && <><StepMark status={found.status ?? "untouched"} /><span className="hidden" data-testid={`tested-${found.id}`}>{found.status}</span></>}
    </button>
  );
}

/** Of an empty list it can be walked to; elsewhere the letter A does the same. */
function Add({ label, onAdd, last, shown, text }: { label: string; onAdd: () => void; last?: boolean; shown?: boolean; text?: string | undefined }) {
  return (
    <div className={`add${last ? " last" : ""}${shown ? " shown" : ""}`}>
      <button type="button" className="button small" aria-label={text ?? label} title={label} tabIndex={shown ? 0 : -1} onClick={onAdd} {...(shown ? { "data-walk": "" } : {})} data-testid={shown ? "add-first" : "add"}>
        <Plus aria-hidden />{text}
      </button>
    </div>
  );
}
