/** What each kind of connection is set up with, as the API's document describes it. */
import setups from "../api/connections.json";
import type { Connection } from "../api/client";
import { c } from "./words";

export type Kind = Connection["kind"];
export type Values = Record<string, unknown>;
interface Schema { type?: string; enum?: string[]; anyOf?: Schema[]; default?: unknown; properties?: Record<string, Schema>; required?: string[] }
export interface Part { name: string; schema: Schema; isSecret: boolean; isNeeded: boolean }

const SETUPS = setups as unknown as Record<Kind, { config: Schema; secrets: Schema }>;
export const KINDS = Object.keys(SETUPS) as Kind[];
/** Parts of OAuth that go with some grants only; there they are needed, but for the secret of a public client. */
const OF_GRANT: Record<string, readonly string[]> = { authorize_url: ["authorization_code"], client_secret: ["authorization_code", "client_credentials"], private_key: ["jwt_bearer"] };
const ORDER = Object.keys(c.parts);

/** The parts that a setup of this kind has now, those last of which nobody has written the name yet. */
export function partsOf(kind: Kind, config: Values): Part[] {
  const { config: plain, secrets } = SETUPS[kind];
  const all = [...listed(plain, false), ...listed(secrets, true)].filter(({ name }) => isMeant(name, config));
  const place = ({ name }: Part) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return all.sort((one, other) => place(one) - place(other)).map((part) =>
    OF_GRANT[part.name] ? { ...part, isNeeded: !(part.name === "client_secret" && config.grant === "authorization_code") } : part);
}

function listed(schema: Schema, isSecret: boolean): Part[] {
  return Object.entries(schema.properties ?? {}).map(([name, one]) => ({ name, schema: flat(one), isSecret, isNeeded: (schema.required ?? []).includes(name) }));
}

/** Of several ways to write the same, the one with words. */
const flat = (schema: Schema): Schema => ({ ...(schema.anyOf?.find((one) => one.enum) ?? schema), default: schema.default });
const isMeant = (name: string, config: Values) => !OF_GRANT[name] || OF_GRANT[name].includes(String(config.grant));

/** What a fresh setup says already. */
export function startOf(kind: Kind): Values {
  const given = Object.entries(SETUPS[kind].config.properties ?? {}).map(([name, schema]) => {
    const { enum: words, default: usual } = flat(schema);
    return [name, words && !words.includes(String(usual)) ? (SETUPS[kind].config.required?.includes(name) ? words[0] : undefined) : usual];
  });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined && !Array.isArray(value)));
}

export const labelOf = (name: string): string => c.parts[name] ?? name.replaceAll("_", " ");
/** Keys in PEM have lines. */
export const hasLines = (part: Part) => part.schema.type === "array" || part.schema.type === "object" || part.name === "private_key";

/** A text as a part means it. */
export function meant(part: Part, text: string): unknown {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  switch (part.schema.type) {
    case "array": return lines;
    case "integer": return Number(text);
    case "object": return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).trim(), line.slice(line.indexOf(":") + 1).trim()]));
    default: return text;
  }
}

export const asText = (value: unknown) => (value === undefined || value === null ? "" : Array.isArray(value) ? value.join("\n") : String(value));
