/** The fields of a multipart body, a row each: a name, and a value or a file that the trigger or an earlier step gives. */
import { Plus, X } from "lucide-react";
import { useId } from "react";
import { TemplateInput, usePaths } from "./Insert";
import { Written } from "./Fields";
import { w } from "./words";

type Part = { name: string; value?: unknown; file?: unknown; filename?: string; content_type?: string };
const MARK = '["$file"]';

/** The paths of the sample at which files are. */
export function useFilePaths(): string[] {
  return usePaths().filter((path) => path.endsWith(MARK)).map((path) => path.slice(0, -MARK.length));
}

export function FileInput({ id, described, value, set }: { id: string; described?: string; value: unknown; set: (value: unknown) => void }) {
  const files = useFilePaths();
  return (
    <>
      <TemplateInput id={id} {...(described ? { described } : {})} text={typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value)}
        set={(text) => set(text || undefined)} list={files} />
      {files.length === 0 && <span className="small faint">{w.parts.noFiles}</span>}
    </>
  );
}

export function Parts({ label, hint, value, set }: { label: string; hint: string | undefined; value: unknown; set: (value: unknown) => void }) {
  const id = useId();
  const parts = (Array.isArray(value) ? value : []) as Part[];
  const change = (index: number, next: Part) => set(parts.map((part, other) => (other === index ? next : part)));
  const remove = (index: number) => set(parts.length > 1 ? parts.filter((_, other) => other !== index) : undefined);
  return (
    <fieldset className="rows" data-testid="parts">
      <legend>{label}</legend>
      {parts.map((part, index) => {
        const isFile = "file" in part;
        const { value: _value, file: _file, ...named } = part;
        return (
          <div key={index} className="pair">
            <div className="stack close">
              <input className="input mono" aria-label={`${label}: ${w.row.name}`} placeholder={w.row.name} value={part.name} onChange={(event) => change(index, { ...part, name: event.target.value })} />
              <select className="select" aria-label={`${part.name}: ${w.kind}`} value={isFile ? "file" : "value"} onChange={(event) => change(index, { ...named, [event.target.value]: "" })} data-testid="part-kind">
                <option value="value">{w.row.value}</option>
                <option value="file">{w.parts.file}</option>
              </select>
            </div>
            <div>
              <label className="hidden" htmlFor={`${id}-${index}`}>{`${part.name}: ${isFile ? w.parts.file : w.row.value}`}</label>
              {isFile
                ? <FileInput id={`${id}-${index}`} value={part.file} set={(next) => change(index, { ...named, file: next ?? "" })} />
                : <Written id={`${id}-${index}`} value={part.value} read={(text) => text} set={(next) => change(index, { ...named, value: next })} />}
            </div>
            <button type="button" className="button quiet icon" aria-label={w.row.remove(part.name)} onClick={() => remove(index)}><X aria-hidden /></button>
          </div>
        );
      })}
      {hint && <span className="small faint">{hint}</span>}
      <div><button type="button" className="button small" onClick={() => set([...parts, { name: "", value: "" }])}><Plus aria-hidden />{w.row.add}</button></div>
    </fieldset>
  );
}
