/** What is done with steps, by mouse or from the keyboard: walk, add, move, duplicate, copy, paste, delete. */
import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import { toast } from "../parts/toasts";
import type { Step } from "../zap/steps";
import { type Draft, type Place, at, copyOf, freshId, insert, moved, placeOfStep, remove, renamed } from "./draft";
import type { Verbs } from "./StepForm";
import type { Editing } from "./useDraft";
import { w } from "./words";

export interface Work {
  root: RefObject<HTMLDivElement | null>; panel: RefObject<HTMLDivElement | null>; selected: string; select: (key: string) => void;
  open: (key: string, field: Place) => void; ask: (list: Place, index: number) => void; adding: boolean; copied: Step | undefined;
  add: (wanted: string, step: Omit<Step, "id">) => void; stopAdding: (isPaste: boolean) => void; verbs: Verbs;
  onKey: (event: KeyboardEvent) => void; onPanelKey: (event: KeyboardEvent) => void;
}

/** A copied step can be pasted into any zap of this tab. */
let clipboard: Step | undefined;
const CONTROLS = "input, select, textarea, button";

export function useSteps({ draft, change }: Editing): Work {
  const root = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const [selected, select] = useState("trigger:0");
  const [spot, setSpot] = useState<{ list: Place; index: number }>();
  const [focus, setFocus] = useState<{ key: string; field?: Place }>();
  useEffect(() => {
    if (!focus) return;
    if (focus.field) focusField(panel.current, focus.field);
    else root.current?.querySelector<HTMLElement>(`[data-walk="${CSS.escape(focus.key)}"]`)?.focus();
  }, [focus]);

  const go = (key: string, field?: Place) => {
    select(key);
    setFocus(field ? { key, field } : { key });
  };
  const place = placeOfStep(draft, selected);
  const step = place ? (at(draft, place) as Step) : undefined;
  const put = (next: Draft, list: Place, index: number, added: Step, field?: Place) => {
    change(insert(next, list, index, [added]));
    go(added.id, field);
  };
  const behind = (): [Place, number] => (place ? [place.slice(0, -1), (place.at(-1) as number) + 1] : [["steps"], 0]);
  const paste = (list: Place, index: number) => clipboard && put(draft, list, index, copyOf(draft, clipboard));
  const verbs: Verbs = {
    move: (by) => {
      const next = place && moved(draft, place, by);
      if (!next) return;
      change(next);
      go(selected);
    },
    duplicate: () => step && put(draft, ...behind(), copyOf(draft, step)),
    copy: () => {
      if (!step) return;
      clipboard = step;
      toast(w.copied(step.id));
    },
    remove: () => {
      if (!place) return;
      const [list, index] = [place.slice(0, -1), place.at(-1) as number];
      const next = remove(draft, place);
      change(next);
      toast(w.removed(selected));
      const left = at(next, list) as Step[];
      const holder = at(next, list.slice(0, list.lastIndexOf("steps", -2) + 2)) as Step | undefined;
      go((left[index] ?? left[index - 1])?.id ?? holder?.id ?? "trigger:0");
    },
    rename: (to) => {
      change(renamed(draft, selected, to));
      select(to);
    },
  };
  const letters: Record<string, () => void> = {
    a: () => { const [list, index] = behind(); setSpot({ list, index }); }, d: verbs.duplicate, delete: verbs.remove, backspace: verbs.remove,
    enter: () => setFocus({ key: selected, field: [] }),
  };
  const commands: Record<string, () => void> = { c: verbs.copy, x: () => { verbs.copy(); verbs.remove(); }, v: () => paste(...behind()) };

  function onKey(event: KeyboardEvent) {
    const walked = (event.target as HTMLElement).closest<HTMLElement>("[data-walk]");
    if (!walked) return;
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const isCommand = event.ctrlKey || event.metaKey;
    const isStep = walked.dataset.walk !== "";
    const act = (isCommand ? commands : letters)[event.key.toLowerCase()];
    if (by && event.altKey) verbs.move(by);
    else if (by) walk(root.current, walked, by, select);
    else if (act && isStep && !event.altKey) act();
    else return;
    event.preventDefault();
  }
  function onPanelKey(event: KeyboardEvent) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    setFocus({ key: selected });
  }
  return {
    root, panel, selected, select, verbs, onKey, onPanelKey, copied: clipboard, adding: spot !== undefined,
    open: (key, field) => go(key, field),
    ask: (list, index) => setSpot({ list, index }),
    add: (wanted, made) => { if (spot) put(draft, spot.list, spot.index, { id: freshId(draft, wanted), ...made } as Step, []); },
    stopAdding: (isPaste) => {
      if (isPaste && spot) paste(spot.list, spot.index);
      setSpot(undefined);
    },
  };
}

function walk(root: HTMLElement | null, from: HTMLElement, by: number, select: (key: string) => void) {
  const all = [...(root?.querySelectorAll<HTMLElement>("[data-walk]") ?? [])];
  const next = all[all.indexOf(from) + by];
  next?.focus();
  if (next?.dataset.walk) select(next.dataset.walk);
}

/** The control of a field, or of the nearest place around it; without one, the first that says what the step does. */
function focusField(panel: HTMLElement | null, field: Place) {
  for (let length = field.length; length > 0; length--) {
    const found = panel?.querySelector<HTMLElement>(`[data-field="${CSS.escape(field.slice(0, length).join("/"))}"]`);
    if (!found) continue;
    found.closest("details")?.setAttribute("open", "");
    const control = found.querySelector<HTMLElement>(CONTROLS);
    control?.scrollIntoView({ block: "nearest" });
    control?.focus();
    return;
  }
  const fields = [...(panel?.querySelectorAll<HTMLElement>("[data-field]") ?? [])];
  const first = fields.find((one) => one.dataset.field !== "id") ?? fields[0];
  first?.querySelector<HTMLElement>(CONTROLS)?.focus();
}
