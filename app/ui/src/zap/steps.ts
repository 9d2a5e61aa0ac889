/** A definition's steps as a tree, read loosely: kinds that this release does not know are shown, too. */
import { t } from "../texts";

export interface Step {
  id: string;
  kind: string;
  [field: string]: unknown;
}
export interface Branch { id: string; title: string; steps: Step[]; place: (string | number)[] }

type Loose = Record<string, unknown>;
const isObject = (value: unknown): value is Loose => typeof value === "object" && value !== null && !Array.isArray(value);
const stepsOf = (value: unknown): Step[] => (isObject(value) && Array.isArray(value.steps) ? (value.steps as Step[]) : []);

/** What stands inside of a step: its paths, loops and error paths. */
export function branches(step: Step): Branch[] {
  const found: Branch[] = [];
  if (Array.isArray(step.paths)) {
    for (const [index, path] of (step.paths as Loose[]).entries()) {
      const id = String(path.id ?? "");
      found.push({ id, title: String(path.name || id), steps: stepsOf(path), place: ["paths", index, "steps"] });
    }
  }
  if (isObject(step.otherwise)) found.push({ id: "otherwise", title: t.steps.otherwise, steps: stepsOf(step.otherwise), place: ["otherwise", "steps"] });
  if (Array.isArray(step.steps)) {
    found.push({ id: "steps", title: step.kind === "try" ? t.steps.tries : t.steps.each, steps: step.steps as Step[], place: ["steps"] });
  }
  if (isObject(step.rejected)) found.push({ id: "rejected", title: t.steps.rejected, steps: stepsOf(step.rejected), place: ["rejected", "steps"] });
  if (isObject(step.on_error)) found.push({ id: "on_error", title: t.steps.onError, steps: stepsOf(step.on_error), place: ["on_error", "steps"] });
  return found;
}

export function* allSteps(steps: readonly Step[]): Generator<Step> {
  for (const step of steps) {
    yield step;
    for (const branch of branches(step)) yield* allSteps(branch.steps);
  }
}

/** What a step does, in a line. */
export function summary(step: Step): string {
  const config = isObject(step.config) ? step.config : {};
  switch (step.kind) {
    case "action":
      return step.type === "http.request" ? `${config.method ?? "POST"} ${config.url ?? ""}` : String(step.type ?? "");
    case "delay":
      return step.for_s === undefined ? t.steps.until(String(step.until ?? "")) : t.steps.wait(Number(step.for_s));
    case "filter":
      return condition(step.condition);
    case "paths":
      return step.mode === "all" ? t.steps.allPaths : t.steps.firstPath;
    case "set":
      return Object.keys(isObject(step.values) ? step.values : {}).join(", ");
    case "stop":
      return t.steps.stop(String(step.as ?? "completed"));
    case "approval":
      return String(step.title ?? "");
    case "for_each":
      return typeof step.items === "string" ? step.items : JSON.stringify(step.items ?? []);
    case "return":
      return JSON.stringify(step.value ?? null);
    case "unknown":
      return t.steps.newer(String(step.of ?? ""));
    default:
      return "";
  }
}

export function kindName(kind: string): string {
  return (t.kinds as Record<string, string>)[kind] ?? kind;
}

/** A condition in a line of words. */
export function condition(given: unknown): string {
  if (!isObject(given)) return "";
  for (const [name, joiner] of [["all", t.steps.and], ["any", t.steps.or]] as const) {
    if (Array.isArray(given[name])) return given[name].map(condition).join(joiner);
  }
  if (isObject(given.not)) return t.steps.not(condition(given.not));
  const value = given.value === undefined ? "" : ` ${JSON.stringify(given.value)}`;
  return `${given.field ?? ""} ${String(given.operator ?? "").replaceAll("_", " ")}${value}`;
}
