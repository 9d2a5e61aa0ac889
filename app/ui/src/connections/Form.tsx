/** A new connection, or what is to be another of one. Secrets go in and are never shown. */
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { ApiError, type Connection, type Service, api, data } from "../api/client";
import { connectorQuery, connectorsQuery, queryClient } from "../api/queries";
import { root } from "../api/session";
import { Copyable, Failed, Field, Note, inWords } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { t } from "../texts";
import { Consent } from "./Consent";
import { KINDS, type Kind, type Part, type Values, asText, hasLines, labelOf, meant, partsOf, startOf } from "./kinds";
import { c } from "./words";

type Made = Connection & { authorize_url?: string };
interface Known { kind: string; kinds?: string[]; help?: string; in?: string; name?: string; authorize_url?: string; token_url?: string; scopes?: string[] }

/** `service`: the connector that it is for, which says what is known of it. */
export function ConnectionForm({ of, kinds = KINDS, service, done, onClose }: { of?: Connection; kinds?: readonly Kind[]; service?: string; done: (made: Connection) => void; onClose: () => void }) {
  const [chosen, setChosen] = useState(service ?? "");
  const detail = useQuery({ ...connectorQuery(chosen), enabled: chosen !== "" });
  const [asked, setAsked] = useState<Made>();
  if (asked?.authorize_url) return <Consent of={asked} url={asked.authorize_url} onClose={() => done(asked)} />;
  if (chosen !== "" && !detail.data && !detail.error) return null;
  const choice = !of && !service && <Services value={chosen} set={setChosen} />;
  return <Setup key={chosen} of={of} kinds={kinds} service={detail.data} choice={choice} onClose={onClose} done={(made) => (made.authorize_url ? setAsked(made) : done(made))} />;
}

function Services({ value, set }: { value: string; set: (name: string) => void }) {
  const found = useQuery(connectorsQuery).data ?? [];
  return (
    <Field label={c.service} hint={c.serviceAbout}>
      {(id, described) => (
        <select id={id} aria-describedby={described} className="select" value={value} data-testid="connection-service" onChange={(event) => set(event.target.value)}>
          <option value="">{c.anyService}</option>
          {found.filter((one) => one.connection_kinds.length > 0 && one.title !== one.name).map((one) => <option key={one.name} value={one.name}>{one.title}</option>)}
        </select>
      )}
    </Field>
  );
}

/** What a service's connector says of connections to it. */
const knownOf = (service: Service | undefined) => service?.setup.connection as Known | undefined;

function begin(service: Service | undefined, kind: Kind): Values {
  const known = knownOf(service);
  if (!known || known.kind !== kind) return startOf(kind);
  const { in: where, name, authorize_url, token_url, scopes = [] } = known;
  const given = kind === "api_key" ? { in: where, name } : kind === "oauth2" ? { authorize_url, token_url, scopes } : {};
  return { ...startOf(kind), ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)), hosts: hostsOf(service) };
}

function hostsOf(service: Service | undefined): string[] {
  try { return [new URL(String(service?.setup.base_url)).host]; } catch { return []; }
}

function Setup({ of, kinds, service, choice, done, onClose }: { of: Connection | undefined; kinds: readonly Kind[]; service: Service | undefined; choice: ReactNode; done: (made: Made) => void; onClose: () => void }) {
  const fitting = service ? kinds.filter((kind) => service.connector.connection_kinds.includes(kind)) : kinds;
  const offered = fitting.length > 0 ? fitting : kinds;
  const [kind, setKind] = useState<Kind>(of?.kind ?? (knownOf(service)?.kind as Kind | undefined) ?? offered[0] ?? "bearer");
  const [name, setName] = useState(of?.name ?? (service ? service.connector.title : ""));
  const [config, setConfig] = useState<Values>(of?.config ?? begin(service, kind));
  const [secrets, setSecrets] = useState<Values>({});
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const parts = partsOf(kind, config);
  const help = knownOf(service)?.help;
  const change = (next: Kind) => { setKind(next); setConfig(begin(service, next)); setSecrets({}); };

  async function save(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const made = await sent(of, kind, name, given(parts, config, false, of), given(parts, secrets, true));
      await queryClient.invalidateQueries({ queryKey: ["connections"] });
      done(made);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }

  return (
    <Dialog title={of ? c.change(of.name) : c.create} onClose={onClose}>
      <form onSubmit={save}>
        <div className="dialog-body" data-testid="connection-form">
          {choice}
          {help && <Note>{help}</Note>}
          {!of && (
            <Field label={c.kind} hint={c.kindsAbout[kind]}>
              {(id, described) => (
                <select id={id} aria-describedby={described} className="select" value={kind} data-testid="connection-kind" onChange={(event) => change(event.target.value as Kind)}>
                  {offered.map((one) => <option key={one} value={one}>{c.kinds[one]}</option>)}
                </select>
              )}
            </Field>
          )}
          <Field label={t.common.name}>{(id) => <input id={id} className="input" required maxLength={200} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} data-testid="connection-name" />}</Field>
          {parts.map((part) => {
            const [values, set] = part.isSecret ? [secrets, setSecrets] : [config, setConfig];
            return <Control key={`${kind} ${part.name}`} part={part} isKept={Boolean(of && part.isSecret)} value={values[part.name]} set={(value) => set({ ...values, [part.name]: value })} wrong={wrongAt(error, part)} />;
          })}
          {kind === "oauth2" && config.grant === "authorization_code" && (
            <div className="field">
              <span className="label">{c.redirect}</span>
              <Copyable text={`${root}/oauth/callback`} label={c.redirect} />
              <span className="hint">{c.redirectAbout}</span>
              {String(config.token_url).includes("google") && <span className="hint">{c.testing}</span>}
            </div>
          )}
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" disabled={busy} data-testid="save-connection">{t.common.save}</button>
        </footer>
      </form>
    </Dialog>
  );
}

async function sent(of: Connection | undefined, kind: Kind, name: string, config: Values, secrets: Values): Promise<Made> {
  if (!of) return data(api.POST("/api/v1/connections", { body: { kind, name, config, secrets } as never })) as Promise<Made>;
  const body = { name, config, ...(Object.keys(secrets).length > 0 ? { secrets } : {}) };
  return data(api.PATCH("/api/v1/connections/{connection_id}", { params: { path: { connection_id: of.id } }, body: body as never })) as Promise<Made>;
}

/** The values of the parts there are now; what was there before and is not now is taken away, as a merge patch says it. */
function given(parts: Part[], values: Values, areSecret: boolean, of?: Connection): Values {
  const now = Object.fromEntries(parts.filter((part) => part.isSecret === areSecret && values[part.name] !== undefined).map((part) => [part.name, values[part.name]]));
  const gone = Object.keys(of?.config ?? {}).filter((name) => !(name in now)).map((name) => [name, null]);
  return { ...Object.fromEntries(gone), ...now };
}

function wrongAt(error: unknown, part: Part): string | undefined {
  const place = `/${part.isSecret ? "secrets" : "config"}/${part.name}`;
  const rules = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  const reason = rules.find((rule) => rule.pointer === place || rule.pointer?.startsWith(`${place}/`))?.reason;
  return reason && inWords(reason);
}

function Control({ part, isKept, value, set, wrong }: { part: Part; isKept: boolean; value: unknown; set: (value: unknown) => void; wrong: string | undefined }) {
  const [text, setText] = useState(asText(value));
  const { schema, name } = part;
  if (schema.type === "boolean") return <label className="check"><input type="checkbox" checked={value !== false} onChange={(event) => set(event.target.checked)} /><span>{labelOf(name)}{c.hints[name] && <span className="faint small"> {c.hints[name]}</span>}</span></label>;
  const type = (next: string) => {
    setText(next);
    set(next === "" && (!part.isNeeded || isKept) ? undefined : meant(part, next));
  };
  const isNeeded = part.isNeeded && !isKept;
  const hint = isKept ? (name === "headers" ? c.headersKept : c.keptAbout) : c.hints[name];
  return (
    <Field label={labelOf(name)} hint={hint} wrong={wrong}>
      {(id, described) => {
        const shared = { id, "aria-describedby": described, "aria-invalid": Boolean(wrong), "data-testid": `part-${name}` };
        if (schema.enum) {
          return (
            <select {...shared} className="select" value={schema.enum.includes(asText(value)) ? asText(value) : ""} onChange={(event) => set(event.target.value || undefined)}>
              {!part.isNeeded && !schema.enum.includes(asText(schema.default)) && <option value="">{c.as_usual}</option>}
              {schema.enum.map((one) => <option key={one} value={one}>{c.options[one] ?? one}</option>)}
            </select>
          );
        }
        const typed = { ...shared, autoComplete: "off", required: isNeeded, value: text, onChange: (event: { target: { value: string } }) => type(event.target.value) };
        if (hasLines(part)) return <textarea {...typed} className="area code" rows={3} spellCheck={false} />;
        return <input {...typed} className="input mono" type={part.isSecret ? "password" : schema.type === "integer" ? "number" : "text"} {...(part.isSecret ? { autoComplete: "new-password" } : {})} />;
      }}
    </Field>
  );
}
