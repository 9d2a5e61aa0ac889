/** A draft as a value: each change gives a new one, so that it can be undone. Places are as in problems: ["steps", 0, "config"]. */
import type { Zap } from "../api/client";
import { type Step, allSteps, branches } from "../zap/steps";

export type Place = readonly (string | number)[];
type Loose = Record<string, unknown>;

export interface Starts { id?: string; type: string; config?: Loose; connection?: string }
export interface Draft {
  name: string;
  trigger?: Starts;
  triggers?: Starts[];
  steps: Step[];
  settings?: unknown;
}

export function draftOf(zap: Pick<Zap, "name" | "draft">): Draft {
  const { steps, ...others } = zap.draft;
  return { name: zap.name, ...(others as Partial<Draft>), steps: (steps ?? []) as unknown as Step[] };
}

export const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
export const written = (draft: Draft) => JSON.stringify(draft, null, 2);

export function at(value: unknown, place: Place): unknown {
  return place.reduce<unknown>((inner, part) => (inner as Loose | undefined)?.[part as string], value);
}

/** The same with another value at a place; undefined takes a field away. */
export function put<T>(value: T, place: Place, next: unknown): T {
  const [part, ...rest] = place;
  if (part === undefined) return next as T;
  const changed = rest.length > 0 ? put(((value as Loose | undefined)?.[part as string] ?? {}) as unknown, rest, next) : next;
  if (Array.isArray(value)) return value.map((item, index) => (index === part ? changed : item)) as T;
  const { [part as string]: _, ...others } = (value ?? {}) as Loose;
  if (changed === undefined) return others as T;
  return { ...(value as Loose), [part as string]: changed } as T;
}

/** Every step with its place, in the order in which it is shown. */
export function* placed(steps: readonly Step[], place: Place = ["steps"]): Generator<[Step, Place]> {
  for (const [index, step] of steps.entries()) {
    const here = [...place, index];
    yield [step, here];
    for (const branch of branches(step)) yield* placed(branch.steps, [...here, ...branch.place]);
  }
}

export const placeOfStep = (draft: Draft, id: string): Place | undefined =>
  [...placed(draft.steps)].find(([step]) => step.id === id)?.[1];

const listAt = (draft: Draft, place: Place) => (at(draft, place) ?? []) as Step[];
const split = (place: Place): [Place, number] => [place.slice(0, -1), place.at(-1) as number];

/** With steps put into a list, before the one that is there. */
export function insert(draft: Draft, list: Place, index: number, steps: readonly Step[]): Draft {
  const old = listAt(draft, list);
  return put(draft, list, [...old.slice(0, index), ...steps, ...old.slice(index)]);
}

export function remove(draft: Draft, place: Place): Draft {
  const [list, index] = split(place);
  return put(draft, list, listAt(draft, list).filter((_, other) => other !== index));
}

/** One up or down in its list; undefined at the end of it. */
export function moved(draft: Draft, place: Place, by: -1 | 1): Draft | undefined {
  const [list, index] = split(place);
  const steps = [...listAt(draft, list)];
  const other = steps[index + by];
  const step = steps[index];
  if (!step || !other) return undefined;
  steps[index] = other;
  steps[index + by] = step;
  return put(draft, list, steps);
}

/** A name that no step has yet. */
export function freshId(draft: Draft, wanted: string, taken: ReadonlySet<string> = new Set()): string {
  const names = new Set([...[...allSteps(draft.steps)].map((step) => step.id), ...taken]);
  const base = wanted.replace(/_\d+$/, "").slice(0, 56);
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}_${number}`;
    if (!names.has(name)) return name;
  }
}

/** A copy of a step whose steps all have names of their own; what it says of itself follows. */
export function copyOf(draft: Draft, step: Step): Step {
  const taken = new Set<string>();
  let copy = structuredClone(step);
  for (const { id } of allSteps([step])) {
    const fresh = freshId(draft, id, taken);
    taken.add(fresh);
    if (fresh !== id) copy = renamedIn(copy, id, fresh);
  }
  return copy;
}

/** A step by another name, in all that names it. */
export const renamed = (draft: Draft, from: string, to: string): Draft => renamedIn(draft, from, to);

function renamedIn<T>(value: T, from: string, to: string): T {
  const named = new RegExp(`\\b(steps|callback)\\.${from}\\b`, "g");
  return JSON.parse(JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === "string") return inner.replace(named, `$1.${to}`);
    const step = inner as Partial<Step> | null;
    return step && typeof step === "object" && step.id === from && typeof step.kind === "string" ? { ...step, id: to } : inner;
  })) as T;
}

/** A JSON Pointer as a place. */
export function placeOfPointer(pointer: string): Place {
  const parts = pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** What a place belongs to: the innermost step or trigger, and the rest of the way. */
export function ownerOf(draft: Draft, place: Place): { key: string; rest: Place } | undefined {
  for (let length = place.length; length > 0; length--) {
    const head = place.slice(0, length);
    const found = at(draft, head) as Partial<Step> | undefined;
    const isStep = typeof head.at(-1) === "number" && head.at(-2) === "steps" && found;
    if (isStep) return { key: String(found.id), rest: place.slice(length) };
  }
  if (place[0] === "settings") return { key: "settings", rest: place.slice(1) };
  if (place[0] === "trigger") return { key: "trigger:0", rest: place.slice(1) };
  if (place[0] === "triggers") return { key: `trigger:${place[1] ?? 0}`, rest: place.slice(2) };
  return undefined;
}

export const triggersOf = (draft: Draft): [Starts, Place][] =>
  draft.triggers ? draft.triggers.map((one, index) => [one, ["triggers", index]]) : [[draft.trigger ?? { type: "" }, ["trigger"]]];
