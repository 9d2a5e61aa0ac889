/** Two drafts that came from one: what only one side has changed is taken from it, and somebody chooses for the rest. */
import { alone, parts, same } from "../zap/diff";
import { type Step, branches } from "../zap/steps";
import { type Draft, type Place, at, insert, placeOfStep, placed, put } from "./draft";

export type Side = "theirs" | "mine";
export interface Part { key: string; theirs: unknown; mine: unknown; by: Side | "both" }
export const ORDER = "order";

/** What differs between the two, and who has changed it. */
export function compared(base: Draft, theirs: Draft, mine: Draft): Part[] {
  const [old, one, other] = [all(base), all(theirs), all(mine)];
  return [...new Set([...one.keys(), ...other.keys()])].flatMap((key) => {
    const found = { key, theirs: one.get(key), mine: other.get(key) };
    if (same(found.theirs, found.mine)) return [];
    const by = same(old.get(key), found.theirs) ? "mine" : same(old.get(key), found.mine) ? "theirs" : "both";
    return [{ ...found, by } as Part];
  });
}

function all(draft: Draft): Map<string, unknown> {
  return parts(draft).set(ORDER, shape(draft.steps));
}

type Shape = [string, [string, Shape][]][];
const shape = (steps: readonly Step[]): Shape => steps.map((step) => [step.id, branches(step).map((branch) => [branch.id, shape(branch.steps)])]);

export function merged(base: Draft, theirs: Draft, mine: Draft, chosen: ReadonlyMap<string, Side>): Draft {
  const differ = new Map(compared(base, theirs, mine).map((part) => [part.key, part.by === "both" ? (chosen.get(part.key) ?? "mine") : part.by]));
  const [one, other] = [all(theirs), all(mine)];
  const pick = (key: string) => (differ.get(key) === "theirs" ? one : other).get(key);
  const step = (id: string) => (pick(`steps.${id}`) ?? one.get(`steps.${id}`) ?? other.get(`steps.${id}`)) as Step;
  const built = (form: Shape): Step[] => form.map(([id, inner]) => {
    const lists = new Map(inner);
    return branches(step(id)).reduce((whole, branch) => put(whole, branch.place, built(lists.get(branch.id) ?? [])), structuredClone(step(id)));
  });
  const heads = Object.fromEntries(["name", "trigger", "triggers", "settings"].map((key) => [key, pick(key)]).filter(([, value]) => value !== undefined));
  const whole = { ...heads, steps: built(pick(ORDER) as Shape) } as unknown as Draft;
  return added(whole, base, differ.get(ORDER) === "theirs" ? mine : theirs);
}

/** With the steps that the side whose order was not taken has added: each behind the one that it stood behind. */
function added(draft: Draft, base: Draft, from: Draft): Draft {
  let whole = draft;
  for (const [step, place] of placed(from.steps)) {
    if (placeOfStep(whole, step.id) || placeOfStep(base, step.id)) continue;
    const list = place.slice(0, -1);
    const before = (at(from, [...list, (place.at(-1) as number) - 1]) as Step | undefined)?.id;
    const spot: Place = (before && placeOfStep(whole, before)) || ["steps", whole.steps.length - 1];
    whole = insert(whole, spot.slice(0, -1), (spot.at(-1) as number) + 1, [alone(step) as Step]);
  }
  return whole;
}
