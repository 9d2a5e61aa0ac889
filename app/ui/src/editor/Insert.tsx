/** Texts with {{ values }} in them: what there is to insert, from a sample, and what the text gives. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { Braces } from "lucide-react";
import { type KeyboardEvent, createContext, useContext, useEffect, useId, useRef, useState } from "react";
import { api, data } from "../api/client";
import { w } from "./words";

export type Sample = { run_id: string } | { payload: unknown };
export const SampleOf = createContext<Sample>({ payload: {} });
const QUIET_MS = 400;
const MOST = 60;

const previewQuery = (template: unknown, sample: Sample) => queryOptions({
  queryKey: ["preview", template, sample],
  staleTime: 60_000,
  retry: false,
  queryFn: ({ signal }) => data(api.POST("/api/v1/templates/preview", { body: { template, sample } as never, signal })),
});

export function usePaths(): string[] {
  return useQuery(previewQuery("", useContext(SampleOf))).data?.paths ?? [];
}

/** An input of one line, or of several, into which paths can be inserted; `{{` opens the list, too. */
export function TemplateInput({ id, described, text, set, lines = 1, list: given, plain }: {
  id: string; described?: string; text: string; set: (text: string) => void; lines?: number; list?: string[]; plain?: boolean;
}) {
  const box = useRef<HTMLTextAreaElement & HTMLInputElement>(null);
  const [isOpen, setOpen] = useState(false);
  const [isFocused, setFocused] = useState(false);
  const found = usePaths();
  const paths = given ?? found;
  const type = (next: string, caret: number) => {
    set(next);
    if (!plain && next.slice(0, caret).endsWith("{{")) setOpen(true);
  };
  const take = (path: string) => {
    const caret = box.current?.selectionStart ?? text.length;
    const before = text.slice(0, caret).replace(/\{\{\s*$/, "");
    set(plain ? path : `${before}{{ ${path} }}${text.slice(caret).replace(/^\s*\}\}/, "")}`);
    setOpen(false);
    box.current?.focus();
  };
  const shared = {
    id, ref: box, value: text, "aria-describedby": described, spellCheck: false,
    onChange: (event: { target: HTMLInputElement | HTMLTextAreaElement }) => type(event.target.value, event.target.selectionStart ?? 0),
    onFocus: () => setFocused(true), onBlur: () => setFocused(false),
  };
  return (
    <div className="template">
      <div className="row" style={{ gap: 4, alignItems: "flex-start" }}>
        {lines > 1 ? <textarea {...shared} className="area code" rows={lines} /> : <input {...shared} className="input mono" autoComplete="off" />}
        <button type="button" className="button quiet icon" aria-label={w.insert} title={w.insert} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}><Braces aria-hidden /></button>
      </div>
      {isOpen && <Paths paths={paths} take={take} close={() => { setOpen(false); box.current?.focus(); }} />}
      {isFocused && !plain && text.includes("{{") && <Gives text={text} />}
    </div>
  );
}

function Paths({ paths, take, close }: { paths: string[]; take: (path: string) => void; close: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const shown = paths.filter((path) => path.toLowerCase().includes(text.toLowerCase())).slice(0, MOST);
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, shown.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") { const path = shown[at]; if (path) take(path); }
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="insert">
      <input className="input" autoFocus role="combobox" aria-expanded="true" aria-controls={list} aria-activedescendant={`${list}-${at}`} aria-label={w.filterPaths}
        placeholder={w.filterPaths} value={text} onKeyDown={onKey} onChange={(event) => { setText(event.target.value); setAt(0); }} data-testid="paths" />
      <ul id={list} role="listbox" aria-label={w.paths}>
        {shown.map((path, index) => (
          <li key={path} id={`${list}-${index}`} role="option" aria-selected={index === at} className="mono" onPointerMove={() => setAt(index)}
            onPointerDown={(event) => { event.preventDefault(); take(path); }}>{path}</li>
        ))}
      </ul>
      {shown.length === 0 && <p className="small faint">{w.noPaths}</p>}
    </div>
  );
}

/** What the server makes of the text with the sample. */
function Gives({ text }: { text: string }) {
  const sample = useContext(SampleOf);
  const [asked, setAsked] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text), QUIET_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const answer = useQuery(previewQuery(asked, sample)).data;
  if (!answer) return null;
  if (answer.error) return <p className="small wrong-text" role="status">{answer.error}</p>;
  return <p className="small soft wrap-any" role="status" data-testid="gives">{w.givesType(answer.type ?? "")} <code>{JSON.stringify(answer.value)?.slice(0, 300)}</code></p>;
}
