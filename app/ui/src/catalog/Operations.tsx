/** The operations of a document, by tag, to search and choose from. */
import { Search } from "lucide-react";
import { useMemo, useState } from "react";
import type { Operation } from "../api/client";
import { k } from "./words";

const OPEN_BELOW = 60;

export function Operations({ all, chosen, set }: { all: readonly Operation[]; chosen: ReadonlySet<string>; set: (chosen: ReadonlySet<string>) => void }) {
  const [text, setText] = useState("");
  const shown = useMemo(() => all.filter((one) => fits(one, text)), [all, text]);
  const groups = useMemo(() => grouped(shown), [shown]);
  const take = (ids: readonly string[], on: boolean) => {
    const next = new Set(chosen);
    for (const id of ids) if (on) next.add(id); else next.delete(id);
    set(next);
  };
  return (
    <div className="stack tight" data-testid="operations">
      <div className="row wrap">
        <div className="search"><Search aria-hidden /><input className="input" aria-label={k.searchOperations} placeholder={k.searchOperations} value={text} onChange={(event) => setText(event.target.value)} data-testid="operation-search" /></div>
        <button type="button" className="button small" onClick={() => take(shown.map((one) => one.id), true)} data-testid="take-all">{k.all}</button>
        <button type="button" className="button small" onClick={() => take(shown.map((one) => one.id), false)} data-testid="take-none">{k.noneOf}</button>
      </div>
      <p className="small soft" role="status" data-testid="chosen">{k.chosen(chosen.size, all.length)}</p>
      {groups.map(([tag, members]) => <Group key={tag} tag={tag} members={members} isOpen={shown.length < OPEN_BELOW || groups.length === 1} chosen={chosen} take={take} />)}
    </div>
  );
}

function Group({ tag, members, isOpen, chosen, take }: { tag: string; members: Operation[]; isOpen: boolean; chosen: ReadonlySet<string>; take: (ids: readonly string[], on: boolean) => void }) {
  const [wish, setWish] = useState<boolean>();
  const open = wish ?? isOpen;
  const taken = members.filter((one) => chosen.has(one.id)).length;
  return (
    <section className="group" aria-label={tag}>
      <div className="row">
        <label className="check grow"><input type="checkbox" checked={taken === members.length} ref={(box) => { if (box) box.indeterminate = taken > 0 && taken < members.length; }} onChange={(event) => take(members.map((one) => one.id), event.target.checked)} /><strong className="wrap-any">{tag}</strong> <span className="faint small">{taken}/{members.length}</span></label>
        <button type="button" className="linkish small" aria-expanded={open} onClick={() => setWish(!open)}>{open ? k.hide : k.show}<span className="hidden"> {tag}</span></button>
      </div>
      {open && (
        <ul className="operations">
          {members.map((one) => (
            <li key={one.id}><label className="check"><input type="checkbox" checked={chosen.has(one.id)} onChange={(event) => take([one.id], event.target.checked)} data-testid={`operation-${one.id}`} /><span className="grow"><span className="wrap-any">{one.name}</span> <code className="small faint wrap-any">{one.method.toUpperCase()} {one.path}</code></span></label></li>
          ))}
        </ul>
      )}
    </section>
  );
}

function fits(one: Operation, text: string): boolean {
  const said = `${one.id} ${one.name} ${one.method} ${one.path} ${one.tags.join(" ")}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => said.includes(word));
}

function grouped(operations: readonly Operation[]): [string, Operation[]][] {
  const found = new Map<string, Operation[]>();
  for (const one of operations) {
    const tag = one.tags[0] ?? k.untagged;
    found.set(tag, [...(found.get(tag) ?? []), one]);
  }
  return [...found].sort(([one], [other]) => one.localeCompare(other));
}
