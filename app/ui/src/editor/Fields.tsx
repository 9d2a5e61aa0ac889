/** A form made from a JSON Schema: that of an action or trigger in the catalog, or ours of a step kind. */
import { useQuery } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { type ReactNode, useId, useRef, useState } from "react";
import { zapsQuery } from "../api/queries";
import { Field } from "../parts/controls";
import { Choices } from "./Choices";
import { Condition } from "./Condition";
import { TemplateInput } from "./Insert";
import { FileInput, Parts } from "./Parts";
import { OnError, PathRows, Recipients } from "./flow";
import { type Schema, resolved } from "./kinds";
import { w } from "./words";

type Loose = Record<string, unknown>;
export interface Slot { name: string; schema: Schema; value: unknown; set: (value: unknown) => void; required: boolean }

/** `whole`: none of them is set aside under further settings. */
export function Fields({ fields, required = [], value, set, wrong, prefix = "", whole = false }: {
  fields: Record<string, Schema>; whole?: boolean; required?: string[]; value: Loose; set: (name: string, value: unknown) => void; wrong: (place: string) => string | undefined; prefix?: string;
}) {
  const names = Object.keys(fields);
  const isMinor = (name: string, index: number) => {
    const schema = fields[name] as Schema;
    const isScalar = ["string", "number", "boolean"].includes(typeof schema.default) || schema.type === "integer" || schema.type === "number";
    const isGroup = !schema.by && Boolean(resolved(schema).properties);
    return index > 1 && (isScalar || isGroup) && value[name] === undefined && !required.includes(name) && !wrong(prefix + name);
  };
  const show = (name: string) => (
    <div key={name} data-field={prefix + name}>
      <Slotted name={name} schema={inKind(name, fields[name] as Schema, value)} value={value[name]} set={(next) => set(name, next)} required={required.includes(name)} place={prefix + name} wrong={wrong} />
    </div>
  );
  const minor = whole ? [] : names.filter(isMinor);
  return (
    <>
      {names.filter((name) => !minor.includes(name)).map(show)}
      {minor.length > 0 && <details className="more-fields"><summary>{w.more}</summary><div className="stack">{minor.map(show)}</div></details>}
    </>
  );
}

/** A body whose kind says which form it has; one that was written in another way stays a text. */
function inKind(name: string, schema: Schema, value: Loose): Schema {
  if (name !== "body") return schema;
  if (value.body_type === "multipart" && (value.body === undefined || isPartList(value.body))) return { ...schema, format: "parts" };
  return value.body_type === "binary" ? { ...schema, format: "file" } : schema;
}
const isPartList = (value: unknown) => Array.isArray(value) && value.every((one) => typeof one === "object" && one !== null && typeof (one as Loose).name === "string");

function Slotted({ name, schema: given, value, set, required, place, wrong: wrongAt }: Slot & { place: string; wrong: (place: string) => string | undefined }) {
  const known = w.labels[name];
  const found = resolved(given);
  const schema = { ...found, title: found.title ?? known?.[0], description: found.description ?? known?.[1] } as Schema;
  const slot = { name, schema, value, set, required };
  const label = schema.title ?? name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
  const wrong = wrongAt(place);
  if (schema.by && schema.variants) return <Variant {...slot} label={label} place={place} wrong={wrongAt} />;
  if (schema.properties) return <Group label={label} hint={schema.description} schema={schema} value={value} set={set} place={place} wrong={wrongAt} />;
  const own = special(slot, label);
  if (own) return <div className="stack close">{own}{wrong && <p className="small wrong-text">{wrong}</p>}</div>;
  return <Field label={label} hint={schema.description} wrong={wrong}>{(id, described) => control(slot, id, described)}</Field>;
}

const without = (value: Loose) => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined));

interface Nested { label: string; schema: Schema; value: unknown; set: (value: unknown) => void; place: string; wrong: (place: string) => string | undefined }

/** An object's fields; without any of them it is not there. */
function Group({ label, hint, schema, value, set, place, wrong }: Nested & { hint: string | undefined }) {
  const now = (value ?? {}) as Loose;
  const put = (name: string, next: unknown) => {
    const meant = without({ ...now, [name]: next });
    set(Object.keys(meant).length > 0 ? meant : undefined);
  };
  return (
    <fieldset className="rows nested">
      <legend>{label}</legend>
      {hint && <span className="small faint">{hint}</span>}
      <Fields whole fields={schema.properties ?? {}} required={value === undefined ? [] : (schema.required ?? [])} value={now} set={put} prefix={`${place}/`} wrong={wrong} />
    </fieldset>
  );
}

/** One of several kinds, and the fields of the one that is chosen. */
function Variant({ label, schema, value, set, place, wrong }: Nested) {
  const id = useId();
  const by = schema.by as string;
  const variants = schema.variants as Record<string, Schema>;
  const now = (value ?? {}) as Loose;
  const kind = value === undefined ? "" : String(now[by] ?? Object.keys(variants)[0]);
  const chosen = variants[kind] ? resolved(variants[kind]) : undefined;
  const fields = Object.fromEntries(Object.entries(chosen?.properties ?? {}).filter(([name]) => name !== by && !(by === "preset" && name === "dedupe")));
  return (
    <fieldset className="rows nested">
      <legend>{label}</legend>
      <div className="field" data-field={`${place}/${by}`}>
        <label className="hidden" htmlFor={id}>{`${label}: ${w.kind}`}</label>
        <select id={id} className="select" value={kind} onChange={(event) => set(event.target.value === "" ? undefined : { [by]: event.target.value })} data-testid={`kind-${place.replaceAll("/", "-")}`}>
          <option value="">{w.unset}</option>
          {Object.keys(variants).map((one) => <option key={one} value={one}>{w.variants[one] ?? one.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase())}</option>)}
        </select>
        {schema.description && <span className="hint">{schema.description}</span>}
        {wrong(`${place}/${by}`) && <span className="wrong">{wrong(`${place}/${by}`)}</span>}
      </div>
      {chosen && <Fields key={kind} fields={fields} required={chosen.required ?? []} value={now} set={(name, next) => set(without({ [by]: kind, ...now, [name]: next }))} prefix={`${place}/`} wrong={wrong} />}
    </fieldset>
  );
}

/** Some of a few words. */
function Several({ label, hint, words, value, set }: { label: string; hint: string | undefined; words: string[]; value: unknown; set: (value: unknown) => void }) {
  const chosen = (value ?? []) as string[];
  const next = (word: string, on: boolean) => words.filter((one) => (one === word ? on : chosen.includes(one)));
  return (
    <fieldset className="rows">
      <legend>{label}</legend>
      <div className="row wrap">{words.map((word) => <Check key={word} label={word} value={chosen.includes(word)} set={(on) => { const all = next(word, on); set(all.length > 0 ? all : undefined); }} />)}</div>
      {hint && <span className="small faint">{hint}</span>}
    </fieldset>
  );
}

/** What is more than one control. */
function special({ schema, value, set, name }: Slot, label: string): ReactNode {
  switch (schema.format) {
    case "parts": return <Parts label={label} hint={w.parts.hint} value={value} set={set} />;
    case "condition": return <Condition label={label} value={value} set={set} />;
    case "paths": return <PathRows value={value} set={set} />;
    case "recipients": return <Recipients value={value} set={set} />;
    case "on_error": return <OnError value={value} set={set} />;
    case "frame": return <Check label={label} value={value !== undefined} set={(on) => set(on ? { steps: [] } : undefined)} />;
  }
  if (schema.type === "boolean") return <Check label={label} value={(value ?? schema.default) === true} set={(on) => set(on === schema.default ? undefined : on)} />;
  if (schema.type === "array" && schema.items?.enum) return <Several label={label} hint={schema.description} words={schema.items.enum.map(String)} value={value} set={set} />;
  if ((name === "filter" || name === "success") && schema.type === "object") return <Condition label={label} value={value} set={set} optional />;
  if (schema.type === "object" && isEmptyObject(schema.default) && isFlat(value)) return <Rows label={label} hint={schema.description} value={(value ?? {}) as Loose} set={set} />;
  return undefined;
}

const isEmptyObject = (value: unknown) => typeof value === "object" && value !== null && Object.keys(value).length === 0;
const isFlat = (value: unknown) => value === undefined || (typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((one) => typeof one !== "object" || one === null));

function control({ name, schema, value, set, required }: Slot, id: string, described: string): ReactNode {
  if (schema["x-choices"]) return <Choices id={id} described={described} of={schema["x-choices"]} value={value} set={set} type={schema.type} required={required} />;
  if (schema.format === "file") return <FileInput id={id} described={described} value={value} set={set} />;
  if (schema.format === "zap") return <ZapChoice id={id} value={value} set={set} />;
  if (name === "zap_id" || schema.format === "uuid") return <ZapChoice id={id} value={value} set={(next) => set(next || undefined)} />;
  if (schema.type === "array" && ["string", "number"].includes(resolved(schema.items ?? {}).type ?? "")) {
    return <Written id={id} described={described} value={Array.isArray(value) ? value.join("\n") : value} set={set} read={(text) => linesOf(text, resolved(schema.items ?? {}).type === "number")} lines={3} />;
  }
  if (schema.enum) {
    return (
      <select id={id} aria-describedby={described} className="select" value={String(value ?? "")} onChange={(event) => set(event.target.value || undefined)}>
        {!required && <option value="">{schema.default ? `${w.unset} (${String(schema.default)})` : w.notSet}</option>}
        {schema.enum.filter((one) => one !== "").map((one) => <option key={String(one)}>{String(one)}</option>)}
      </select>
    );
  }
  if (schema.type === "number" || schema.type === "integer") return <Written id={id} described={described} value={value} set={set} read={numberOf} />;
  if (schema.type === "string") return <Written id={id} described={described} value={value} set={set} read={(text) => text || (required ? "" : undefined)} lines={(schema.maxLength ?? 0) > 1_000 ? 4 : 1} />;
  return <Written id={id} described={described} value={value} set={set} read={jsonOf} lines={typeof value === "object" && value !== null ? 7 : schema.type ? 3 : 4} />;
}

/** Items, one a line. */
function linesOf(text: string, areNumbers: boolean): unknown {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (lines.length === 0) return undefined;
  return areNumbers ? lines.map((line) => numberOf(line)) : lines;
}

export const numberOf = (text: string) => (text.trim() === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text);
/** Texts that are JSON are that; others are texts, which templates are, too. */
function jsonOf(text: string): unknown {
  if (text.trim() === "") return undefined;
  try { return JSON.parse(text); } catch { return text; }
}
const shown = (value: unknown) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** A text for a value: it stays as it is typed, and follows when the value changes otherwise. */
export function Written({ id, described, value, set, read, lines = 1 }: {
  id: string; described?: string; value: unknown; set: (value: unknown) => void; read: (text: string) => unknown; lines?: number;
}) {
  const [text, setText] = useState(shown(value));
  const told = useRef(JSON.stringify(value));
  if (JSON.stringify(value) !== told.current) {
    told.current = JSON.stringify(value);
    setText(shown(value));
  }
  return (
    <TemplateInput id={id} {...(described ? { described } : {})} text={text} lines={lines} set={(next) => {
      const meant = read(next);
      setText(next);
      told.current = JSON.stringify(meant);
      set(meant);
    }} />
  );
}

function Check({ label, value, set }: { label: string; value: boolean; set: (on: boolean) => void }) {
  return <label className="check"><input type="checkbox" checked={value} onChange={(event) => set(event.target.checked)} />{label}</label>;
}

function ZapChoice({ id, value, set }: { id: string; value: unknown; set: (value: unknown) => void }) {
  const zaps = useQuery(zapsQuery).data ?? [];
  return (
    <select id={id} className="select" value={String(value ?? "")} onChange={(event) => set(event.target.value)}>
      <option value="" />
      {zaps.map((zap) => <option key={zap.id} value={zap.id}>{zap.name}</option>)}
    </select>
  );
}

/** Names and values, a row each. */
function Rows({ label, hint, value, set }: { label: string; hint: string | undefined; value: Loose; set: (value: unknown) => void }) {
  const id = useId();
  const [rows, setRows] = useState<[string, unknown][]>(Object.entries(value));
  const told = useRef(JSON.stringify(value));
  if (JSON.stringify(value) !== told.current) {
    told.current = JSON.stringify(value);
    setRows(Object.entries(value));
  }
  const tell = (next: [string, unknown][]) => {
    const meant = Object.fromEntries(next.filter(([name]) => name !== ""));
    setRows(next);
    told.current = JSON.stringify(meant);
    set(Object.keys(meant).length > 0 ? meant : undefined);
  };
  return (
    <fieldset className="rows">
      <legend>{label}</legend>
      {rows.map(([name, one], index) => (
        <div key={index} className="pair">
          <input className="input mono" aria-label={`${label}: ${w.row.name}`} placeholder={w.row.name} value={name} onChange={(event) => tell(rows.map((row, other) => (other === index ? [event.target.value, row[1]] : row)))} />
          <div>
            <label className="hidden" htmlFor={`${id}-${index}`}>{`${label}: ${w.row.value}`}</label>
            <Written id={`${id}-${index}`} value={one} read={(text) => text} set={(next) => tell(rows.map((row, other) => (other === index ? [row[0], next] : row)))} />
          </div>
          <button type="button" className="button quiet icon" aria-label={w.row.remove(name)} onClick={() => tell(rows.filter((_, other) => other !== index))}><X aria-hidden /></button>
        </div>
      ))}
      {hint && <span className="small faint">{hint}</span>}
      <div><button type="button" className="button small" onClick={() => setRows([...rows, ["", ""]])}><Plus aria-hidden />{w.row.add}</button></div>
    </fieldset>
  );
}
