/** A condition as rows that all hold, or any of which holds; what is nested deeper is JSON. */
import { Plus, X } from "lucide-react";
import { useId } from "react";
import { Written } from "./Fields";
import { TemplateInput } from "./Insert";
import { OPERATORS, WITHOUT_VALUE } from "./kinds";
import { w } from "./words";

interface Rule { field: string; operator: string; value?: unknown }
type Join = "all" | "any";

const isRule = (value: unknown): value is Rule => typeof value === "object" && value !== null && "operator" in value;

/** The rules of a condition that rows can show. */
function rowsOf(value: unknown): { join: Join; rules: Rule[] } | undefined {
  if (value === undefined || value === null) return { join: "all", rules: [] };
  if (isRule(value)) return { join: "all", rules: [value] };
  for (const join of ["all", "any"] as const) {
    const parts = (value as Record<string, unknown>)[join];
    if (Array.isArray(parts) && parts.every(isRule)) return { join, rules: parts };
  }
  return undefined;
}

const conditionOf = (join: Join, rules: Rule[], optional: boolean): unknown =>
  rules.length === 0 && optional ? undefined : rules.length === 1 && join === "all" ? rules[0] : { [join]: rules };

/** A value as it is typed: a number, true, a list where it is one, else the text. */
function valueOf(text: string): unknown {
  if (!/^(-?\d+(\.\d+)?|true|false|null|\[.*\]|\{.*\}|".*")$/s.test(text.trim())) return text;
  try { return JSON.parse(text); } catch { return text; }
}

export function Condition({ label, value, set, optional = false }: { label: string; value: unknown; set: (value: unknown) => void; optional?: boolean }) {
  const id = useId();
  const rows = rowsOf(value);
  if (!rows) {
    return (
      <div className="field">
        <label htmlFor={id}>{label}</label>
        <span className="hint">{w.rule.json}</span>
        <Written id={id} value={value} lines={8} set={set} read={(text) => { try { return JSON.parse(text); } catch { return text; } }} />
      </div>
    );
  }
  const { join, rules } = rows;
  const tell = (next: Rule[], by: Join = join) => set(conditionOf(by, next, optional));
  return (
    <fieldset className="rows" data-testid="condition">
      <legend>{label}</legend>
      {rules.length > 1 && (
        <select className="select" aria-label={w.rule.join} value={join} onChange={(event) => tell(rules, event.target.value as Join)}>
          <option value="all">{w.rule.all}</option><option value="any">{w.rule.any}</option>
        </select>
      )}
      {rules.map((rule, index) => (
        <Row key={index} rule={rule} set={(next) => tell(rules.map((old, other) => (other === index ? next : old)))} remove={rules.length > 1 || optional ? () => tell(rules.filter((_, other) => other !== index)) : undefined} />
      ))}
      <div><button type="button" className="button small" onClick={() => tell([...rules, { field: "trigger.body", operator: "exists" }])}><Plus aria-hidden />{w.rule.add}</button></div>
    </fieldset>
  );
}

function Row({ rule, set, remove }: { rule: Rule; set: (rule: Rule) => void; remove: (() => void) | undefined }) {
  const id = useId();
  const operate = (operator: string) => {
    const { value, ...others } = rule;
    set(WITHOUT_VALUE.has(operator) ? { ...others, operator } : { ...others, operator, value: value ?? "" });
  };
  return (
    <div className="rule">
      <label className="hidden" htmlFor={`${id}-field`}>{w.rule.field}</label>
      <TemplateInput id={`${id}-field`} text={rule.field} plain set={(field) => set({ ...rule, field })} />
      <div className="row">
        <select className="select" aria-label={w.rule.operator} value={rule.operator} onChange={(event) => operate(event.target.value)}>
          {OPERATORS.map((one) => <option key={one} value={one}>{one.replaceAll("_", " ")}</option>)}
        </select>
        {remove && <button type="button" className="button quiet icon" aria-label={w.rule.remove} onClick={remove}><X aria-hidden /></button>}
      </div>
      {!WITHOUT_VALUE.has(rule.operator) && (
        <>
          <label className="hidden" htmlFor={`${id}-value`}>{w.rule.value}</label>
          <Plain id={`${id}-value`} value={rule.value} set={(value) => set({ ...rule, value })} />
        </>
      )}
    </div>
  );
}

/** A value of a rule is no template. */
function Plain({ id, value, set }: { id: string; value: unknown; set: (value: unknown) => void }) {
  const text = typeof value === "string" ? value : JSON.stringify(value ?? "");
  return <input id={id} className="input mono" autoComplete="off" value={text} placeholder={w.rule.value} onChange={(event) => set(valueOf(event.target.value))} />;
}
