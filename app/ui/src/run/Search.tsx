/** One box over all runs: words as they are typed, comparisons of values with suggestions of paths that runs have. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Search as Glass } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { pathsQuery } from "../api/queries";
import { t } from "../texts";

const QUIET_MS = 300;
const MOST = 12;
const PATH = /^(?:trigger|steps|error|keys|index)(?:\.[\w-]+|\[\d+\]|\["[^"]*"\]|\['[^']*'\])*/;
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const COMPARISON = new RegExp(`${PATH.source}\\s*(?:(?:!=|>=|<=|=|>|<|~)\\s*\\S.*|\\?\\s*)$`);
/** What can be asked of a value, by its type. */
const OPERATORS: Record<string, string[]> = { number: [" = ", " > ", " < ", "?"], text: [" = ", " ~ ", " != ", "?"], other: [" = ", "?"] };

interface Suggestion { text: string; about: string }

/** `q` follows the typing after a moment; a comparison is added with Enter. */
export function SearchBox({ q, setWords, compare, open }: { q: string; setWords: (q: string) => void; compare: (where: string) => void; open: (id: string) => void }) {
  const [text, setText] = useState(q);
  const [at, setAt] = useState(-1);
  const [isOpen, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const isComparing = PATH.test(text) && /[.=<>~?!]/.test(text);
  const suggestions = useSuggestions(text, isOpen);
  // What the address says is shown, unless it only says what was typed here.
  const sent = useRef(q);
  const say = (words: string) => {
    sent.current = words;
    if (words !== q) setWords(words);
  };
  useEffect(() => {
    if (q !== sent.current) setText(q);
    sent.current = q;
  }, [q]);
  useEffect(() => {
    if (text.trim() === q || isComparing) return;
    const timer = setTimeout(() => say(text.trim()), QUIET_MS);
    return () => clearTimeout(timer);
  });
  const type = (typed: string) => {
    setText(typed);
    setAt(-1);
    setOpen(true);
  };
  // What was typed of a path is no word to search for.
  const take = (suggestion: Suggestion) => {
    if (ID.test(suggestion.text)) return open(suggestion.text);
    say("");
    type(suggestion.text);
    if (COMPARISON.test(suggestion.text)) enter(suggestion.text);
    input.current?.focus();
  };
  const enter = (typed: string) => {
    setOpen(false);
    if (!COMPARISON.test(typed)) return say(typed.trim());
    sent.current = "";
    setText("");
    compare(typed.trim());
  };
  const onKey = (event: KeyboardEvent) => {
    const chosen = suggestions[at];
    if (event.key === "ArrowDown") setAt((now) => Math.min(now + 1, suggestions.length - 1));
    else if (event.key === "ArrowUp") setAt((now) => Math.max(now - 1, -1));
    else if (event.key === "Escape" && isOpen) setOpen(false);
    else if (event.key === "Enter" && chosen) take(chosen);
    else if (event.key === "Enter") enter(text);
    else return;
    event.preventDefault();
  };
  const isShown = isOpen && suggestions.length > 0;
  return (
    <div className="search wide" onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && setOpen(false)}>
      <Glass aria-hidden />
      <input ref={input} className="input" role="combobox" aria-expanded={isShown} aria-controls={list} aria-autocomplete="list" aria-label={t.search.label} placeholder={t.search.placeholder}
        {...(isShown && at >= 0 ? { "aria-activedescendant": `${list}-${at}` } : {})} value={text} onKeyDown={onKey} onFocus={() => setOpen(true)} onChange={(event) => type(event.target.value)} data-testid="search" />
      {isShown && (
        <ul id={list} role="listbox" aria-label={t.search.suggestions} className="suggestions" onMouseDown={(event) => event.preventDefault()}>
          {suggestions.map((suggestion, index) => (
            <li key={suggestion.text} id={`${list}-${index}`} role="option" aria-selected={index === at} onPointerMove={() => setAt(index)} onClick={() => take(suggestion)}>
              <code className="wrap-any">{suggestion.text}</code><span className="small faint">{suggestion.about}</span>
            </li>
          ))}
        </ul>
      )}
      {isComparing && <p className="small faint" role="status">{COMPARISON.test(text) ? t.search.enter : t.search.goOn}</p>}
    </div>
  );
}

/** Paths that have what is typed; behind a path, what can be asked of its value. */
function useSuggestions(text: string, isOpen: boolean): Suggestion[] {
  const above = text.slice(0, Math.max(0, text.lastIndexOf(".")));
  const under = above && PATH.exec(above)?.[0] === above ? above : "";
  const typed = text.trim().toLowerCase();
  const { data: paths } = useQuery({ ...pathsQuery(under), enabled: isOpen && typed !== "", placeholderData: keepPreviousData });
  if (ID.test(typed)) return [{ text: typed, about: t.search.open }];
  if (!typed || !paths) return [];
  const known = paths.find((one) => one.path === text.trim());
  if (known) return [...new Set(known.types.flatMap((type) => OPERATORS[type] ?? []))].map((sign) => ({ text: known.path + sign, about: t.search.operators[sign.trim()] ?? "" }));
  return paths.filter(({ path }) => path.toLowerCase().includes(typed)).slice(0, MOST).map(({ path, types }) => ({ text: path, about: types.map((type) => t.search.types[type]).join(", ") }));
}
