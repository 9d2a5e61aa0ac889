/** A new connection, or what is to be another of one. Secrets go in and are never shown. */
import { type FormEvent, useState } from "react";
import { type Connection, api, data } from "../api/client";
import { Failed, Field } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { t } from "../texts";
import { HOSTS, KINDS, type Kind, type Part, asText, labelOf, meant, startOf } from "./kinds";

type Values = Record<string, unknown>;

export function ConnectionForm({ of, kinds, done, onClose }: { of?: Connection; kinds?: readonly Kind[]; done: (made: Connection & { authorize_url?: string }) => void; onClose: () => void }) {
  const offered = kinds ?? (Object.keys(KINDS) as Kind[]);
  const [kind, setKind] = useState<Kind>(of?.kind ?? offered[0] ?? "bearer");
  const [name, setName] = useState(of?.name ?? "");
  const [config, setConfig] = useState<Values>(of?.config ?? startOf(kind));
  const [secrets, setSecrets] = useState<Values>({});
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const parts = [...KINDS[kind], HOSTS].filter((part) => !part.when || part.when(config));
  const given = (values: Values, areSecret: boolean) => Object.fromEntries(parts.filter((part) => Boolean(part.secret) === areSecret && values[part.name] !== undefined).map((part) => [part.name, values[part.name]]));

  async function save(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const body = { name, config: given(config, false), ...(Object.keys(secrets).length > 0 ? { secrets: given(secrets, true) } : {}) };
      const call = of ? api.PATCH("/api/v1/connections/{connection_id}", { params: { path: { connection_id: of.id } }, body: body as never }) : api.POST("/api/v1/connections", { body: { kind, ...body } as never });
      done((await data(call as never)) as Connection);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }

  return (
    <Dialog title={of ? t.connections.change(of.name) : t.connections.create} onClose={onClose}>
      <form onSubmit={save}>
        <div className="dialog-body" data-testid="connection-form">
          {!of && (
            <Field label={t.connections.kind} hint={t.connections.kindsAbout[kind]}>
              {(id, described) => (
                <select id={id} aria-describedby={described} className="select" value={kind} data-testid="connection-kind" onChange={(event) => { const next = event.target.value as Kind; setKind(next); setConfig(startOf(next)); setSecrets({}); }}>
                  {offered.map((one) => <option key={one} value={one}>{t.connections.kinds[one]}</option>)}
                </select>
              )}
            </Field>
          )}
          <Field label={t.common.name}>{(id) => <input id={id} className="input" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} data-testid="connection-name" />}</Field>
          {parts.map((part) => {
            const [values, set] = part.secret ? [secrets, setSecrets] : [config, setConfig];
            return <Control key={`${kind} ${part.name}`} part={part} isKept={Boolean(of && part.secret)} value={values[part.name]} set={(value) => set({ ...values, [part.name]: value })} />;
          })}
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

function Control({ part, isKept, value, set }: { part: Part; isKept: boolean; value: unknown; set: (value: unknown) => void }) {
  const [text, setText] = useState(asText(value));
  const label = labelOf(part);
  if (part.as === "check") return <label className="check"><input type="checkbox" checked={value !== false} onChange={(event) => set(event.target.checked)} />{label}</label>;
  const type = (next: string) => {
    setText(next);
    set(next === "" && (part.optional || isKept) ? undefined : meant(part, next));
  };
  const isNeeded = !part.optional && !isKept;
  const hint = isKept ? t.connections.keptAbout : (t.connections.hints as Record<string, string>)[part.name];
  return (
    <Field label={label} hint={hint}>
      {(id, described) =>
        part.of ? <select id={id} className="select" value={asText(value)} onChange={(event) => set(event.target.value)}>{part.of.map((one) => <option key={one} value={one}>{one.replaceAll("_", " ")}</option>)}</select>
        : part.as === "lines" || part.as === "headers" || part.as === "text" ? <textarea id={id} aria-describedby={described} className="area code" rows={3} required={isNeeded} autoComplete="off" spellCheck={false} value={text} onChange={(event) => type(event.target.value)} />
        : <input id={id} aria-describedby={described} className="input mono" type={part.secret ? "password" : part.as === "number" ? "number" : "text"} autoComplete="off" required={isNeeded} value={text} onChange={(event) => type(event.target.value)} />}
    </Field>
  );
}
