/** What each kind of connection is set up with, as the guide lists it. */
import { t } from "../texts";

export type Kind = "bearer" | "api_key" | "basic" | "custom" | "oauth2" | "smtp" | "imap" | "postgres";
export interface Part { name: string; as?: "number" | "lines" | "headers" | "text" | "check"; of?: readonly string[]; optional?: boolean; start?: unknown; secret?: boolean; when?: (config: Record<string, unknown>) => boolean }

const TLS = ["starttls", "tls", "off"] as const;
const password: Part = { name: "password", secret: true };
const account = (port: number, tls: string): Part[] => [{ name: "host" }, { name: "port", as: "number", start: port }, { name: "username" }, { name: "tls", of: TLS, start: tls }, password];
const is = (...grants: string[]) => (config: Record<string, unknown>) => grants.includes(String(config.grant));

export const KINDS: Record<Kind, Part[]> = {
  bearer: [{ name: "token", secret: true }],
  api_key: [{ name: "in", of: ["header", "query"], start: "header" }, { name: "name", start: "X-Api-Key" }, { name: "value", secret: true }],
  basic: [{ name: "username" }, password],
  custom: [{ name: "headers", as: "headers", secret: true }],
  oauth2: [
    { name: "grant", of: ["authorization_code", "client_credentials", "jwt_bearer"], start: "authorization_code" }, { name: "authorize_url", when: is("authorization_code") }, { name: "token_url" }, { name: "client_id" },
    { name: "scopes", as: "lines", optional: true }, { name: "audience", optional: true }, { name: "client_secret", secret: true, optional: true, when: is("authorization_code", "client_credentials") }, { name: "private_key", as: "text", secret: true, when: is("jwt_bearer") },
  ],
  smtp: account(587, "starttls"),
  imap: account(993, "tls"),
  postgres: [{ name: "host" }, { name: "port", as: "number", start: 5432 }, { name: "database" }, { name: "username" }, { name: "tls", as: "check", start: true }, { name: "read_only", as: "check", start: true }, password],
};

export const HOSTS: Part = { name: "hosts", as: "lines", optional: true };
export const startOf = (kind: Kind) => Object.fromEntries(KINDS[kind].filter((part) => part.start !== undefined).map((part) => [part.name, part.start]));
export const labelOf = (part: Part): string => (t.connections.parts as Record<string, string>)[part.name] ?? part.name.replaceAll("_", " ");

/** A text as a part means it. */
export function meant(part: Part, text: string): unknown {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (part.as === "lines") return lines;
  if (part.as === "number") return Number(text);
  if (part.as === "headers") return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).trim(), line.slice(line.indexOf(":") + 1).trim()]));
  return text;
}

export const asText = (value: unknown) => (value === undefined || value === null ? "" : Array.isArray(value) ? value.join("\n") : String(value));
