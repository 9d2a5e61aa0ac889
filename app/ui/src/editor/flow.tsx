/** Small forms of steps that lead to other steps, or to people. */
import { Plus, X } from "lucide-react";
import { useId, useState } from "react";
import { Field } from "../parts/controls";
import type { Step } from "../zap/steps";
import { Condition } from "./Condition";
import { w } from "./words";

interface Branch { id: string; name?: string; condition: unknown; steps?: Step[] }
type Set = (value: unknown) => void;

/** The paths of a step: their names and conditions. Their steps are in the tree. */
export function PathRows({ value, set }: { value: unknown; set: Set }) {
  const paths = (value ?? []) as Branch[];
  const change = (index: number, next: Partial<Branch>) => set(paths.map((path, other) => (other === index ? { ...path, ...next } : path)));
  const fresh = () => {
    const taken = new Set(paths.map((path) => path.id));
    const id = Array.from({ length: 20 }, (_, number) => `path_${number + 1}`).find((one) => !taken.has(one)) ?? "path";
    set([...paths, { id, condition: { field: "trigger.body", operator: "exists" }, steps: [] }]);
  };
  return (
    <div className="stack">
      {paths.map((path, index) => (
        <div key={path.id} className="frame-box stack tight">
          <div className="row between">
            <h3>{w.path.one(index + 1)}</h3>
            {paths.length > 1 && <button type="button" className="button quiet small icon" aria-label={`${w.path.remove}: ${path.name || path.id}`} onClick={() => set(paths.filter((_, other) => other !== index))}><X aria-hidden /></button>}
          </div>
          <Field label={w.path.name}>
            {(id) => <input id={id} className="input" maxLength={200} value={path.name ?? ""} placeholder={path.id} onChange={(event) => change(index, { name: event.target.value || undefined } as Partial<Branch>)} />}
          </Field>
          <Condition label={w.rule.join} value={path.condition} set={(condition) => change(index, { condition })} />
        </div>
      ))}
      <div><button type="button" className="button small" onClick={fresh}><Plus aria-hidden />{w.path.add}</button></div>
    </div>
  );
}

const ROLES = new Set(["owner", "admin", "editor", "viewer"]);

export function Recipients({ value, set }: { value: unknown; set: Set }) {
  const known = ((value ?? []) as { email?: string; role?: string }[]).map((one) => one.email ?? one.role ?? "");
  const [text, setText] = useState(known.join("\n"));
  return (
    <Field label={w.recipients.label} hint={w.recipients.hint}>
      {(id, described) => (
        <textarea id={id} aria-describedby={described} className="area" rows={3} value={text} onChange={(event) => {
          setText(event.target.value);
          const lines = event.target.value.split(/[\n,;]+/).map((line) => line.trim()).filter(Boolean);
          set(lines.map((line) => (ROLES.has(line) ? { role: line } : { email: line })));
        }} />
      )}
    </Field>
  );
}

/** Other steps for when this one has failed are a frame in the tree. */
export function OnError({ value, set }: { value: unknown; set: Set }) {
  const id = useId();
  const now = typeof value === "object" && value !== null ? "steps" : String(value ?? "fail");
  return (
    <div className="field">
      <label htmlFor={id}>{w.onError.title}</label>
      <select id={id} className="select" value={now} onChange={(event) => set(event.target.value === "fail" ? undefined : event.target.value === "steps" ? { steps: [] } : "continue")}>
        <option value="fail">{w.onError.fail}</option><option value="continue">{w.onError.continue}</option><option value="steps">{w.onError.steps}</option>
      </select>
    </div>
  );
}
