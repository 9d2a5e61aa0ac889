/** A field whose values the service knows: chosen from what it lists, page by page, or written by hand. */
import { infiniteQueryOptions, useInfiniteQuery } from "@tanstack/react-query";
import { ListFilter } from "lucide-react";
import { type KeyboardEvent, createContext, useContext, useEffect, useId, useState } from "react";
import { api, data } from "../api/client";
import { said } from "../parts/controls";
import { Written, numberOf } from "./Fields";
import type { ChoiceOf, Schema } from "./kinds";
import { w } from "./words";

type Loose = Record<string, unknown>;
/** Whom to ask: the connector of the step, with its connection and what is filled in already. */
export interface Asked { connector: string; connection: string | undefined; input: Loose }
export const Asking = createContext<Asked>({ connector: "", connection: undefined, input: {} });
const QUIET_MS = 300;
const KEPT_MS = 60_000;

/** The config without what was chosen for another value of this field. */
export function withoutDependents(schema: Schema | undefined, config: Loose, name: string): Loose {
  const gone = Object.entries(schema?.properties ?? {}).filter(([, field]) => field["x-choices"]?.depends_on.includes(name)).map(([field]) => field);
  return Object.fromEntries(Object.entries(config).filter(([field]) => !gone.includes(field)));
}

function choicesQuery(of: ChoiceOf, { connector, connection, input }: Asked, search: string) {
  const needed = Object.fromEntries(of.depends_on.map((field) => [field, input[field]]));
  return infiniteQueryOptions({
    queryKey: ["choices", connector, of.name, connection, needed, search],
    staleTime: KEPT_MS,
    retry: false,
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) => data(api.POST("/api/v1/connectors/{name}/choices/{choice}", {
      params: { path: { name: connector, choice: of.name } }, body: { connection_id: connection ?? null, input: needed as never, search, cursor: pageParam }, signal,
    })),
    getNextPageParam: (page) => page.next_cursor,
  });
}

export function Choices({ id, described, of, value, set, type, required }: { id: string; described: string; of: ChoiceOf; value: unknown; set: (value: unknown) => void; type: string | undefined; required: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState<{ value: unknown; label: string }>();
  const read = type === "integer" || type === "number" ? numberOf : (text: string) => text || (required ? "" : undefined);
  const shut = () => { setOpen(false); document.getElementById(id)?.focus(); };
  return (
    <div className="template" data-testid={`choices-${of.name}`}>
      <Written id={id} described={described} value={value} set={set} read={read} />
      {chosen && chosen.label !== String(value) && chosen.value === value && <p className="small soft">{chosen.label}</p>}
      <div><button type="button" className="button small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)} data-testid="choose"><ListFilter aria-hidden />{w.choices.open}</button></div>
      {isOpen && <List of={of} close={shut} take={(next) => { setChosen(next); set(next.value); shut(); }} />}
    </div>
  );
}

function List({ of, take, close }: { of: ChoiceOf; take: (chosen: { value: unknown; label: string }) => void; close: () => void }) {
  const [text, setText] = useState("");
  const search = useQuiet(text);
  const [at, setAt] = useState(0);
  const list = useId();
  const found = useInfiniteQuery(choicesQuery(of, useContext(Asking), search));
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const onKey = (event: KeyboardEvent) => {
    const chosen = items[at];
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, items.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") { if (chosen) take(chosen); }
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="insert">
      <input className="input" autoFocus role="combobox" aria-expanded="true" aria-controls={list} aria-activedescendant={`${list}-${at}`} aria-label={w.choices.search} placeholder={w.choices.search}
        value={text} onKeyDown={onKey} onChange={(event) => { setText(event.target.value); setAt(0); }} data-testid="choice-search" />
      {found.error && <p className="small wrong-text" role="alert">{said(found.error)}</p>}
      {found.isPending && !found.error && <p className="small faint" role="status">{w.choices.asking}</p>}
      <ul id={list} role="listbox" aria-label={w.choices.open}>
        {items.map((item, index) => (
          <li key={`${String(item.value)} ${index}`} id={`${list}-${index}`} role="option" aria-selected={index === at} onPointerMove={() => setAt(index)} onPointerDown={(event) => { event.preventDefault(); take(item); }} data-testid="choice">
            {item.label}{item.hint && <span className="small faint"> {item.hint}</span>}
          </li>
        ))}
      </ul>
      {found.data && items.length === 0 && <p className="small faint">{w.choices.none}</p>}
      {found.hasNextPage && (
        <div className="row small faint"><span>{w.choices.first(items.length)}</span><button type="button" className="button small" disabled={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()} data-testid="more-choices">{w.choices.more}</button></div>
      )}
    </div>
  );
}

/** A text once nobody has typed for a moment. */
function useQuiet(text: string): string {
  const [quiet, setQuiet] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setQuiet(text), QUIET_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return quiet;
}
