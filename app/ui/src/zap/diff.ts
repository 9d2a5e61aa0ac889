/** What differs between two definitions: step by step and field by field, whatever place a step has moved to. */
import { type Step, branches } from "./steps";

export interface Change { where: string; before: unknown; after: unknown }
export interface Written { name?: string; trigger?: unknown; triggers?: unknown; steps?: readonly Step[] | undefined; settings?: unknown }

type Loose = Record<string, unknown>;
const isObject = (value: unknown): value is Loose => typeof value === "object" && value !== null && !Array.isArray(value);
export const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

export function differences(before: Written, after: Written, orderName: string): Change[] {
  const [old, now] = [parts(before), parts(after)];
  const found = [...new Set([...old.keys(), ...now.keys()])].flatMap((key) => [...fields(key, old.get(key), now.get(key))]);
  const shared = new Set([...old.keys()].filter((key) => now.has(key)));
  const [oldOrder, nowOrder] = [order(before, shared), order(after, shared)];
  return same(oldOrder, nowOrder) ? found : [...found, { where: orderName, before: oldOrder.join("\n"), after: nowOrder.join("\n") }];
}

/** Name, triggers, settings, and each step without those inside of it. */
export function parts(of: Written): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const name of ["name", "trigger", "triggers", "settings"] as const) if (of[name] !== undefined) found.set(name, of[name]);
  for (const step of every(of.steps ?? [])) found.set(`steps.${step.id}`, alone(step));
  return found;
}

function* every(steps: readonly Step[]): Generator<Step> {
  for (const step of steps) {
    yield step;
    for (const branch of branches(step)) yield* every(branch.steps);
  }
}

/** A step by itself: the lists inside of it are empty. */
export function alone(step: Step): unknown {
  const copy = structuredClone(step);
  for (const { place } of branches(step)) {
    const holder = place.slice(0, -1).reduce<unknown>((inner, part) => (inner as Loose)[part], copy) as Loose;
    holder[place.at(-1) as string] = [];
  }
  return copy;
}

/** Which steps stand in which list, in their order: of those that both have. */
function order(of: Written, shared: ReadonlySet<string>): string[] {
  const lists: string[] = [];
  const walk = (steps: readonly Step[], where: string) => {
    const ids = steps.map((step) => step.id).filter((id) => shared.has(`steps.${id}`));
    if (ids.length > 0) lists.push(`${where}${ids.join(", ")}`);
    for (const step of steps) for (const branch of branches(step)) walk(branch.steps, `${step.id} › ${branch.id}: `);
  };
  walk(of.steps ?? [], "");
  return lists;
}

function* fields(where: string, before: unknown, after: unknown): Generator<Change> {
  if (same(before, after)) return;
  if (isObject(before) && isObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) yield* fields(`${where}.${name}`, before[name], after[name]);
  } else if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const [index, item] of before.entries()) yield* fields(`${where}[${index}]`, item, after[index]);
  } else yield { where, before, after };
}
