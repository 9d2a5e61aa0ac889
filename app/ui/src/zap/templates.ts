/** Zaps to begin with. Each runs as it is, once it knows which address to call. */
import { root } from "../api/session";
import all from "./templates.json";

export interface Template { id: string; icon: string; name: string; about: string; sample?: unknown; zap: { trigger: { type: string; config: object }; steps: object[] } }
export const TEMPLATES = all as unknown as readonly Template[];

/** On this machine a zap can call TriggerHub itself, which always answers. */
export const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
export const OWN_URL = `${root}/healthz`;

export const takesUrl = (template: Template) => JSON.stringify(template.zap).includes('"$URL"');

/** The zap of a template, as POST /zaps takes it. */
export function made(template: Template, name: string, url: string): object {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const zap = JSON.parse(JSON.stringify(template.zap), (_key, value: unknown) => {
    if (value === "$ZONE") return zone;
    const config = value as { url?: unknown; method?: string; body?: unknown } | null;
    if (config?.url !== "$URL") return value;
    const { body, ...others } = config;
    const isOwn = url === OWN_URL;
    return { ...others, url, method: isOwn ? "GET" : config.method, ...(body === undefined || isOwn ? {} : { body }) };
  }) as object;
  return { name, ...zap };
}
