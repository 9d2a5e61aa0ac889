/** The step kinds that no connector offers: what a fresh one looks like, and its fields, written as the catalog writes those of actions. */
import forms from "../api/forms.json";
import type { Step } from "../zap/steps";
import { w } from "./words";

/** Where a field's values come from, and which other fields they depend on. */
export interface ChoiceOf { name: string; depends_on: string[] }
/** `by` and `variants`: one of several objects, told apart by the field `by`. */
export interface Schema {
  type?: string; enum?: unknown[]; const?: unknown; title?: string; description?: string; default?: unknown; format?: string;
  properties?: Record<string, Schema>; required?: string[]; $ref?: string; anyOf?: Schema[]; items?: Schema; minimum?: number; maxLength?: number;
  "x-choices"?: ChoiceOf;
  by?: string; variants?: Record<string, Schema>;
}

const DEFS = forms.defs as unknown as Record<string, Schema>;
const GIVEN = forms.fields as unknown as Record<"retry" | "rate_limit" | "verification" | "dedupe" | "reply" | "limit" | "settings", Schema>;

/** A schema without detours: what a name stands for, and what may be null as what it is otherwise. */
export function resolved(schema: Schema): Schema {
  if (schema.$ref && DEFS[schema.$ref]) return { ...resolved(DEFS[schema.$ref] as Schema), ...(schema.title ? { title: schema.title } : {}) };
  const others = schema.anyOf?.filter((one) => one.type !== "null") ?? [];
  if (others.length === 1) return { ...resolved(others[0] as Schema), ...(schema.title ? { title: schema.title } : {}) };
  return schema;
}

const titled = (schema: Schema, title: string, description = ""): Schema => ({ ...resolved(schema), title, description });
export interface Kind { name: string; about: string; fresh: Omit<Step, "id">; fields: Record<string, Schema>; required?: string[] }

const template = (title: string, description = ""): Schema => ({ type: "string", title, description });
const seconds = (title: string, description = ""): Schema => ({ type: "number", title, description });
const choice = (title: string, values: string[], description = ""): Schema => ({ title, enum: values, description, default: values[0] });
const onError: Record<string, Schema> = { on_error: { format: "on_error" } };
const DEFAULT_RULE = { field: "trigger.body", operator: "exists" };

export const KINDS: Record<string, Kind> = {
  filter: {
    name: "Filter", about: "Goes on only where a condition holds", fresh: { kind: "filter", condition: DEFAULT_RULE },
    fields: { condition: { title: "Go on when", format: "condition" }, ...onError },
  },
  paths: {
    name: "Paths", about: "Takes the path whose condition holds", fresh: { kind: "paths", paths: [{ id: "path", condition: DEFAULT_RULE, steps: [] }], otherwise: { steps: [] } },
    fields: { mode: choice("Take", ["first", "all"], "The first path whose condition holds, or all of them"), paths: { format: "paths" }, otherwise: { format: "frame", title: "Steps for when no path is taken" }, ...onError },
  },
  for_each: {
    name: "For each", about: "Runs its steps for each item of a list", fresh: { kind: "for_each", items: "{{ trigger.body }}", steps: [] }, required: ["items"],
    fields: {
      items: { title: "Items", description: "A list, or a template that gives one" }, order: choice("Order", ["sequential", "parallel"]), limit: seconds("At once", "How many items; for parallel loops"),
      on_item_error: choice("When an item fails", ["stop", "continue"]), result: { title: "Keep of each item", description: "A template; without it the last output" }, max_items: seconds("Items at most"), ...onError,
    },
  },
  try: {
    name: "Try", about: "Runs other steps where one of its steps fails", fresh: { kind: "try", steps: [], on_error: { steps: [] } },
    fields: { on_error: { format: "frame", title: "Steps for when one fails" } },
  },
  set: {
    name: "Set values", about: "Works out values for later steps", fresh: { kind: "set", values: { value: "{{ trigger.body }}" } }, required: ["values"],
    fields: { values: { title: "Values", type: "object", default: {} }, ...onError },
  },
  delay: {
    name: "Delay", about: "Waits for a time, or until a moment", fresh: { kind: "delay", for_s: 60 },
    fields: {
      for_s: seconds("Wait so many seconds", "Empty it to wait until a moment instead"), until: template("Wait until", "A date and time, or a time of day such as 09:00"),
      time_zone: template("Time zone", "Such as Europe/Berlin; for “until”"), if_past: choice("If that has passed", ["", "continue", "fail"]), ...onError,
    },
  },
  approval: {
    name: "Approval", about: "Asks people whether the run may go on", fresh: { kind: "approval", title: "May this go on?", to: [{ role: "owner" }] }, required: ["title", "to"],
    fields: {
      title: template("Question"), message: { ...template("Message"), maxLength: 10_000 }, to: { format: "recipients" }, required: seconds("How many have to approve"), deadline_s: seconds("Seconds to answer"),
      on_deadline: choice("Without an answer", ["reject", "approve", "fail"]), rejected: { format: "frame", title: "Steps for when it is rejected" }, form: { type: "object", title: "Form", description: "A JSON Schema of what they fill in" }, ...onError,
    },
  },
  wait_for: {
    name: "Wait for a callback", about: "Waits until somebody posts to a URL of its own", fresh: { kind: "wait_for" },
    fields: { deadline_s: seconds("Seconds to wait"), on_deadline: choice("Without a request", ["fail", "continue"]), ...onError },
  },
  zap: {
    name: "Call a zap", about: "Runs another zap, and may wait for its value", fresh: { kind: "zap", zap_id: "", input: "{{ trigger.body }}" }, required: ["zap_id"],
    fields: { zap_id: { title: "Zap", format: "zap" }, input: { title: "Input", description: "Its steps see it as trigger.body" }, wait: { type: "boolean", title: "Wait for its end", default: true }, timeout_s: seconds("Seconds to wait at most"), ...onError },
  },
  stop: {
    name: "Stop", about: "Ends the run", fresh: { kind: "stop", as: "completed" },
    fields: { as: choice("End the run as", ["completed", "failed", "cancelled"]), message: template("Message") },
  },
  return: {
    name: "Return", about: "Completes the run with a value, the answer to who waits", fresh: { kind: "return", value: "{{ trigger.body }}" },
    fields: { value: { title: "Value" } },
  },
};

/** Fields of all actions, beside their config. */
export const ACTION_FIELDS: Record<string, Schema> = {
  timeout_s: seconds("Time limit of an attempt", "Seconds"),
  unknown_outcome: choice("When it is unknown whether it was done", ["", "retry", "fail"]),
  retry: titled(GIVEN.retry, w.retry),
  rate_limit: titled(GIVEN.rate_limit, w.rateLimit),
};
/** Fields of hooks, of which the catalog says no more than that they are objects. */
export const HOOK_FIELDS: Record<string, Schema> = {
  verification: titled(GIVEN.verification, w.verification, w.verificationAbout), dedupe: titled(GIVEN.dedupe, w.dedupe, w.dedupeAbout),
  reply: titled(GIVEN.reply, w.reply, w.replyAbout), limit: titled(GIVEN.limit, w.limit, w.limitAbout),
};
export const SETTINGS = resolved(GIVEN.settings).properties ?? {};
export const ON_ERROR: Schema = { format: "on_error" };

export const OPERATORS = [
  "equals", "not_equals", "contains", "not_contains", "starts_with", "ends_with", "greater_than", "less_than", "between", "in",
  "exists", "not_exists", "is_empty", "is_true", "is_false", "before", "after", "matches",
];
export const WITHOUT_VALUE = new Set(["exists", "not_exists", "is_empty", "is_true", "is_false"]);
