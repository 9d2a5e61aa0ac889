/** The right panel: the form of the step or trigger that is selected. */
import { useQuery } from "@tanstack/react-query";
import { ArrowDown, ArrowUp, Copy, CopyPlus, Plus, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { BrokenRule, RunStep } from "../api/client";
import { actionsQuery, triggersQuery } from "../api/queries";
import { Connected } from "../connections/Connected";
import { Field, Note, Panel } from "../parts/controls";
import { Json } from "../parts/Json";
import { StepMark } from "../parts/status";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { type Step, allSteps, kindName } from "../zap/steps";
import { type Draft, type Place, type Starts, at, placeOfPointer, put, triggersOf } from "./draft";
import { Asking, withoutDependents } from "./Choices";
import { Fields } from "./Fields";
import { ACTION_FIELDS, HOOK_FIELDS, KINDS, ON_ERROR, SETTINGS, type Schema } from "./kinds";
import { w } from "./words";

type Loose = Record<string, unknown>;
type Change = (next: Draft, key?: string) => void;
interface Formed { draft: Draft; place: Place; change: Change; rules: readonly BrokenRule[] }

/** What is wrong at a field, which is named by its way from the step. */
function wrongAt(rules: readonly BrokenRule[], place: Place) {
  const base = place.join("/");
  return (field: string) => rules.find((rule) => {
    const where = placeOfPointer(rule.pointer ?? "").join("/");
    const wanted = `${base}/${field}`;
    return where === wanted || where.startsWith(`${wanted}/`);
  })?.reason;
}

export interface Verbs { move: (by: -1 | 1) => void; duplicate: () => void; copy: () => void; remove: () => void; rename: (to: string) => void }

export function StepForm({ draft, place, change, rules, verbs, tested, keep }: Formed & { verbs: Verbs; tested: RunStep | undefined; keep: (found: RunStep) => void }) {
  const step = at(draft, place) as Step;
  const actions = useQuery(actionsQuery).data;
  const wrong = wrongAt(rules, place);
  const set = (name: string, value: unknown) => change(put(draft, [...place, name], value), [...place, name].join("."));
  const action = step.kind === "action" ? actions?.find((one) => one.type === step.type) : undefined;
  const schema = action?.config_schema as Schema | undefined;
  const setConfig = (name: string, value: unknown) => {
    const config = put((step.config ?? {}) as Loose, [name], value);
    change(put(draft, [...place, "config"], withoutDependents(schema, config, name)), [...place, "config", name].join("."));
  };
  const asking = { connector: String(step.type).split(/[.@]/)[0] ?? "", connection: step.connection as string | undefined, input: (step.config ?? {}) as Loose };
  const kind = KINDS[step.kind];
  return (
    <Panel title={action?.name ?? kind?.name ?? kindName(step.kind)} actions={<Actions verbs={verbs} />}>
      <div className="stack" data-testid="step-form">
        {(action || kind) && <p className="small soft">{action?.description ?? kind?.about}</p>}
        <div data-field="id"><Id key={step.id} step={step} draft={draft} rename={verbs.rename} /></div>
        {schema && <Asking.Provider value={asking}><Fields fields={schema.properties ?? {}} required={schema.required ?? []} value={asking.input} set={setConfig} prefix="config/" wrong={wrong} /></Asking.Provider>}
        {action?.connection && <Connected service={action.type.split(/[.@]/)[0]} kinds={action.connection.kinds} required={action.connection.required} value={step.connection as string | undefined} set={(id) => set("connection", id)} wrong={wrong("connection")} />}
        {action && <Fields fields={{ on_error: ON_ERROR }} value={step} set={set} wrong={wrong} />}
        {action && <details className="more-fields"><summary>{w.more}</summary><div className="stack"><Fields whole fields={ACTION_FIELDS} value={step} set={set} wrong={wrong} /></div></details>}
        {kind && <Fields fields={kind.fields} required={kind.required ?? []} value={step} set={set} wrong={wrong} />}
        {!kind && step.kind !== "action" && <Note>{w.unknownKind}</Note>}
        {tested && <Tested found={tested} keep={keep} />}
      </div>
    </Panel>
  );
}

function Actions({ verbs }: { verbs: Verbs }) {
  const one = (label: string, icon: ReactNode, onClick: () => void) => <button type="button" className="button quiet icon small" aria-label={label} title={label} onClick={onClick}>{icon}</button>;
  return (
    <>
      {one(w.up, <ArrowUp aria-hidden />, () => verbs.move(-1))}
      {one(w.down, <ArrowDown aria-hidden />, () => verbs.move(1))}
      {one(w.duplicate, <CopyPlus aria-hidden />, verbs.duplicate)}
      {one(w.copy, <Copy aria-hidden />, verbs.copy)}
      {one(w.remove, <Trash2 aria-hidden />, verbs.remove)}
    </>
  );
}

/** The step's name takes effect when it is left, in all templates that name it. */
function Id({ step, draft, rename }: { step: Step; draft: Draft; rename: (to: string) => void }) {
  const [text, setText] = useState(step.id);
  const isTaken = text !== step.id && [...allSteps(draft.steps)].some((other) => other.id === text);
  const wrong = !/^[A-Za-z_]\w{0,63}$/.test(text) ? w.idWrong : isTaken ? w.idTaken : undefined;
  const done = () => (wrong ? setText(step.id) : text !== step.id && rename(text));
  return (
    <Field label={w.id} hint={w.idHint} wrong={wrong}>
      {(id, described) => (
        <input id={id} aria-describedby={described} aria-invalid={Boolean(wrong)} className="input mono" autoComplete="off" value={text} onChange={(event) => setText(event.target.value)}
          onBlur={done} onKeyDown={(event) => { if (event.key === "Enter") done(); }} data-testid="step-id" />
      )}
    </Field>
  );
}

function Tested({ found, keep }: { found: RunStep; keep: (found: RunStep) => void }) {
  return (
    <section className="stack tight" aria-label={w.testOf} data-testid="tested">
      <h3 className="row"><StepMark status={found.status ?? "untouched"} />{w.testOf}: {found.status} {found.answered_by && <span className="small faint">{w.answered[found.answered_by] ?? found.answered_by}</span>}</h3>
      {found.error && <Note tone="bad">{found.error.message} <code>{found.error.code}</code></Note>}
      {found.decision && "reason" in found.decision && <p className="small soft wrap-any">{String(found.decision.reason)}</p>}
      {!found.decision && (found.error || found.output !== undefined) && <div><button type="button" className="button small" onClick={() => { keep(found); toast(w.stubKept(found.id)); }} data-testid="use-as-stub">{w.useAsStub}</button></div>}
      {found.input !== null && found.input !== undefined && <Json value={found.input} title={w.input} path={`steps.${found.id}.input`} />}
      {found.output !== null && found.output !== undefined && <Json value={found.output} title={w.output} path={`steps.${found.id}.output`} />}
    </section>
  );
}

export function TriggerForm({ draft, place, change, rules }: Formed) {
  const trigger = at(draft, place) as Starts | undefined;
  const known = useQuery(triggersQuery).data ?? [];
  const item = known.find((one) => one.type === trigger?.type);
  const schema = item?.config_schema as Schema | undefined;
  const set = (name: string, value: unknown) => change(put(draft, [...place, "config", name], value), [...place, "config", name].join("."));
  const connector = trigger?.type.split(".")[0] ?? "";
  const asking = { connector, connection: trigger?.connection, input: (trigger?.config ?? {}) as Loose };
  return (
    <Panel title={w.trigger} actions={<TriggerActions draft={draft} place={place} change={change} />}>
      <div className="stack" data-testid="step-form">
        <div data-field="type">
          <Field label={w.triggerType} hint={item?.description}>
            {(id, described) => (
              <select id={id} aria-describedby={described} className="select" value={trigger?.type ?? ""} data-testid="trigger-type" onChange={(event) => change(put(draft, place, { ...trigger, type: event.target.value, config: {} }))}>
                {known.map((one) => <option key={one.type} value={one.type}>{t.triggers[one.type as keyof typeof t.triggers] ?? one.name}</option>)}
              </select>
            )}
          </Field>
        </div>
        {trigger?.id !== undefined && (
          <Field label={w.triggerId}>{(id) => <input id={id} className="input mono" value={trigger.id} onChange={(event) => change(put(draft, [...place, "id"], event.target.value), "trigger id")} />}</Field>
        )}
        {schema && <Asking.Provider value={asking}><Fields key={item?.type} fields={trigger?.type.startsWith("webhook.") ? { ...schema.properties, ...HOOK_FIELDS } : (schema.properties ?? {})} required={schema.required ?? []} value={trigger?.config ?? {}} set={set} prefix="config/" wrong={wrongAt(rules, place)} /></Asking.Provider>}
        {item?.connection && <Connected service={connector} kinds={item.connection.kinds} required={item.connection.required} value={trigger?.connection} set={(id) => change(put(draft, [...place, "connection"], id))} wrong={wrongAt(rules, place)("connection")} />}
      </div>
    </Panel>
  );
}

/** What holds for all runs of the zap. */
export function SettingsForm({ draft, change, rules }: Omit<Formed, "place">) {
  const settings = (draft.settings ?? {}) as Record<string, unknown>;
  const set = (name: string, value: unknown) => {
    const next = put(settings, [name], value) as Record<string, unknown>;
    change(put(draft, ["settings"], Object.keys(next).length > 0 ? next : undefined), `settings.${name}`);
  };
  return (
    <Panel title={w.settings}>
      <div className="stack" data-testid="step-form"><Fields fields={SETTINGS} value={settings} set={set} wrong={wrongAt(rules, ["settings"])} /></div>
    </Panel>
  );
}

/** A zap may have several triggers; each has a name then. */
function TriggerActions({ draft, place, change }: Omit<Formed, "rules">) {
  const all = triggersOf(draft).map(([one]) => one);
  const { trigger: _, triggers: __, ...others } = draft;
  const become = (triggers: Starts[]) => {
    const [only] = triggers;
    const { id: ___, ...alone } = only as Starts;
    change({ ...others, ...(triggers.length === 1 ? { trigger: alone } : { triggers }) } as Draft);
  };
  const fresh = () => {
    const named = all.map((one) => ({ ...one, id: one.id ?? "first" }));
    const id = ["second", "third", ...Array.from({ length: 10 }, (_, number) => `trigger_${number}`)].find((name) => !named.some((one) => one.id === name));
    become([...named, { id: id as string, type: "manual", config: {} }]);
  };
  return (
    <>
      {all.length > 1 && <button type="button" className="button quiet icon small" aria-label={w.removeTrigger} title={w.removeTrigger} onClick={() => become(all.filter((_, index) => index !== place[1]))}><Trash2 aria-hidden /></button>}
      {all.length < 10 && <button type="button" className="button quiet icon small" aria-label={w.addTrigger} title={w.addTrigger} onClick={fresh}><Plus aria-hidden /></button>}
    </>
  );
}

