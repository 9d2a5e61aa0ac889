/** What a new step can do: actions of the catalog and step kinds, found by typing. */
import { useQuery } from "@tanstack/react-query";
import { ClipboardPaste } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { actionsQuery } from "../api/queries";
import { t } from "../texts";
import type { Step } from "../zap/steps";
import { KINDS } from "./kinds";
import { iconOf } from "./Tree";
import { w } from "./words";

interface Item { name: string; about: string; icon: ReactNode; make: () => { wanted: string; step: Omit<Step, "id"> } | "paste" }

export function Picker({ copied, choose, onClose }: {
  copied: Step | undefined; choose: (wanted: string, step: Omit<Step, "id">) => void; onClose: (pasted: boolean) => void;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const chosen = useRef<ReturnType<Item["make"]>>(undefined);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const { items, isPending } = useItems(text, copied);
  const isWished = useRef(false);
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  useEffect(() => {
    void document.getElementById(`${list}-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at, list]);
  // Who types faster than the catalog comes has what they chose as soon as it is there.
  useEffect(() => {
    if (isWished.current && !isPending) take(items[at]);
    if (!isPending) isWished.current = false;
  });
  // The dialog gives the focus back as it closes: what is added takes it after that.
  const take = (item: Item | undefined) => {
    if (!item) return;
    chosen.current = item.make();
    ref.current?.close();
  };
  const closed = () => {
    const made = chosen.current;
    onClose(made === "paste");
    if (made && made !== "paste") choose(made.wanted, made.step);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((now) => Math.min(now + 1, items.length - 1));
    else if (event.key === "ArrowUp") setAt((now) => Math.max(now - 1, 0));
    else if (event.key === "Enter") {
      isWished.current = isPending;
      take(items[at]);
    } else return;
    event.preventDefault();
  };
  return (
    <dialog ref={ref} className="palette" aria-label={w.add} onClose={closed} onClick={(event) => event.target === ref.current && ref.current?.close()}>
      <input role="combobox" aria-expanded="true" aria-controls={list} aria-activedescendant={`${list}-${at}`} aria-label={w.find} placeholder={w.find} value={text} onKeyDown={onKey}
        onChange={(event) => { setText(event.target.value); setAt(0); }} data-testid="picker" />
      <ul id={list} role="listbox" aria-label={w.add}>
        {items.map((item, index) => (
          <li key={item.name} id={`${list}-${index}`} role="option" aria-selected={index === at} onPointerMove={() => setAt(index)} onClick={() => take(item)}>
            {item.icon}<span className="nowrap">{item.name}</span><span className="small faint clip">{item.about}</span>
          </li>
        ))}
      </ul>
      {items.length === 0 && <p className="faint" style={{ padding: "8px 18px 16px" }}>{isPending ? t.common.loading : w.nothing}</p>}
    </dialog>
  );
}

function useItems(text: string, copied: Step | undefined): { items: Item[]; isPending: boolean } {
  const { data: actions = [], isPending } = useQuery(actionsQuery);
  const all: Item[] = [
    ...(copied ? [{ name: w.pasteStep(copied.id), about: w.pasteAbout, icon: <ClipboardPaste aria-hidden />, make: () => "paste" as const }] : []),
    ...actions.map((action) => ({
      name: action.name, about: action.description, icon: iconOf("action"),
      make: () => ({ wanted: action.type.split(".").at(-1) ?? "step", step: { kind: "action", type: action.type, config: {} } }),
    })),
    ...Object.entries(KINDS).map(([kind, { name, about, fresh }]) => ({ name, about, icon: iconOf(kind), make: () => ({ wanted: kind, step: structuredClone(fresh) as Omit<Step, "id"> }) })),
  ];
  const typed = text.trim().toLowerCase();
  const words = typed.split(/\s+/);
  const found = all.filter((item) => words.every((word) => `${item.name} ${item.about}`.toLowerCase().includes(word)));
  return { items: found.toSorted((one, other) => distance(one, typed) - distance(other, typed)), isPending };
}

/** What is called just so comes first, then what begins so, then what has it in its name. */
function distance({ name }: Item, typed: string): number {
  const at = name.toLowerCase().indexOf(typed);
  return at === 0 ? Math.min(name.length - typed.length, 1) : at > 0 ? 2 : 3;
}
