/** Three ways to a new zap: a ready template, a schedule, or a definition as JSON. */
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { type Zap, api, whole } from "../api/client";
import { zapChanged } from "../api/queries";
import { root } from "../api/session";
import { Failed, Field } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { t } from "../texts";
import { createZap } from "./actions";

type Kind = "hook" | "schedule" | "json";
const METHODS = ["POST", "PUT", "PATCH", "GET", "DELETE"];
/** On this machine the zap can call TriggerHub itself, which always answers. */
const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

export function NewZap({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const [kind, setKind] = useState<Kind>("hook");
  const [name, setName] = useState<string>(t.newZap.defaultName);
  const [method, setMethod] = useState(isLocal ? "GET" : "POST");
  const [url, setUrl] = useState(isLocal ? `${root}/healthz` : "");
  const [minutes, setMinutes] = useState("60");
  const [json, setJson] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);

  function body(): unknown {
    if (kind === "json") return JSON.parse(json);
    const config = { method, url, ...(["GET", "DELETE"].includes(method) ? {} : { body: kind === "hook" ? "{{ trigger.body }}" : { at: "{{ trigger.due_at }}" } }) };
    const trigger = kind === "hook" ? { type: "webhook.catch", config: {} } : { type: "schedule.every", config: { every_s: Math.round(Number(minutes) * 60) } };
    return { name, trigger, steps: [{ id: "call", kind: "action", type: "http.request", config }] };
  }

  async function create(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const zap = await createZap(body());
      if (kind !== "json") await publish(zap);
      await navigate({ to: "/zaps/$id", params: { id: zap.id } });
    } catch (problem) {
      setError(problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem);
      setBusy(false);
    }
  }

  return (
    <Dialog title={t.newZap.title} onClose={onClose}>
      <form onSubmit={create}>
        <div className="dialog-body">
          <Field label={t.newZap.kind}>
            {(id) => (
              <select id={id} className="select" value={kind} onChange={(event) => setKind(event.target.value as Kind)} data-testid="zap-template">
                {(["hook", "schedule", "json"] as const).map((each) => <option key={each} value={each}>{t.newZap.kinds[each]}</option>)}
              </select>
            )}
          </Field>
          {kind === "json" ? (
            <Import text={json} set={setJson} />
          ) : (
            <>
              <Field label={t.newZap.name}>
                {(id) => <input id={id} className="input" value={name} required maxLength={200} onChange={(event) => setName(event.target.value)} data-testid="zap-name" />}
              </Field>
              {kind === "schedule" && (
                <Field label={t.newZap.minutes}>
                  {(id) => <input id={id} className="input" type="number" min="0.2" step="any" required value={minutes} onChange={(event) => setMinutes(event.target.value)} />}
                </Field>
              )}
              <Field label={t.newZap.call} hint={isLocal && url === `${root}/healthz` ? t.newZap.ownUrl : kind === "hook" ? t.newZap.callHint : undefined}>
                {(id, described) => (
                  <div className="row">
                    <select className="select" style={{ width: 104 }} aria-label={t.newZap.method} value={method} onChange={(event) => setMethod(event.target.value)}>
                      {METHODS.map((each) => <option key={each}>{each}</option>)}
                    </select>
                    <input id={id} aria-describedby={described} className="input mono" required value={url} placeholder="https://example.com/inbox" onChange={(event) => setUrl(event.target.value)} data-testid="zap-url" />
                  </div>
                )}
              </Field>
            </>
          )}
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" disabled={busy} data-testid="create-zap">
            {kind === "json" ? t.newZap.createDraft : t.newZap.create}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

async function publish(zap: Zap) {
  const { data: live, response } = await whole<Zap>(api.POST("/api/v1/zaps/{zap_id}/publish", { params: { path: { zap_id: zap.id } } }) as never);
  zapChanged(live, response.headers.get("etag"));
}

function Import({ text, set }: { text: string; set: (text: string) => void }) {
  return (
    <Field label={t.newZap.definition} hint={t.newZap.definitionHint}>
      {(id, described) => (
        <>
          <input type="file" accept=".json,application/json" aria-label={t.newZap.file}
            onChange={async (event) => { const file = event.target.files?.[0]; if (file) set(await file.text()); }} />
          <textarea id={id} aria-describedby={described} className="area code" rows={12} spellCheck={false} required value={text}
            placeholder={'{"name": "…", "trigger": {"type": "webhook.catch", "config": {}}, "steps": []}'} onChange={(event) => set(event.target.value)} />
        </>
      )}
    </Field>
  );
}

