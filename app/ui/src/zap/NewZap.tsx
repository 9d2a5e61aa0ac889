/** Ways to a new zap: a template that runs at once, an empty draft, or a definition as JSON. */
import { useNavigate } from "@tanstack/react-router";
import { AlarmClock, Bell, Braces, Clock, Filter, GitFork, Repeat, Reply, ShieldAlert, SquareDashed, UserCheck, Webhook } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { type Zap, api, data, whole } from "../api/client";
import { zapChanged } from "../api/queries";
import { Failed, Field, Note, said } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { createZap } from "./actions";
import { OWN_URL, TEMPLATES, isLocal, made, takesUrl } from "./templates";

const ICONS: Record<string, ReactNode> = {
  webhook: <Webhook aria-hidden />, filter: <Filter aria-hidden />, paths: <GitFork aria-hidden />, approval: <UserCheck aria-hidden />, loop: <Repeat aria-hidden />, return: <Reply aria-hidden />,
  clock: <Clock aria-hidden />, try: <ShieldAlert aria-hidden />, bell: <Bell aria-hidden />, alarm: <AlarmClock aria-hidden />,
};
const EMPTY = { trigger: { type: "webhook.catch", config: {} }, steps: [] };
const CHOICES = [
  ...TEMPLATES.map(({ id, icon, name, about }) => ({ id, icon: ICONS[icon], name, about })),
  { id: "empty", icon: <SquareDashed aria-hidden />, name: t.newZap.empty, about: t.newZap.emptyAbout },
  { id: "json", icon: <Braces aria-hidden />, name: t.newZap.import, about: t.newZap.importAbout },
];

export function NewZap({ isFirst, onClose }: { isFirst: boolean; onClose: () => void }) {
  const navigate = useNavigate();
  const [kind, setKind] = useState(TEMPLATES[0]?.id ?? "json");
  const [named, setNamed] = useState<string>();
  const [url, setUrl] = useState(isLocal ? OWN_URL : "");
  const [json, setJson] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const template = TEMPLATES.find((one) => one.id === kind);
  const name = named ?? (isFirst && kind === TEMPLATES[0]?.id ? t.newZap.defaultName : (template?.name ?? t.newZap.empty));

  async function create(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const zap = await createZap(template ? made(template, name, url) : kind === "empty" ? { name, ...EMPTY } : JSON.parse(json));
      // The zap is there by now: what cannot be published yet is mended in its draft, and not made a second time.
      const isLive = template !== undefined && (await publish(zap).then(() => true, (problem: unknown) => { toast(said(problem)); return false; }));
      await navigate({ to: "/zaps/$id", params: { id: zap.id }, search: isLive ? {} : { tab: "draft" } });
    } catch (problem) {
      setError(problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem);
      setBusy(false);
    }
  }

  return (
    <Dialog title={t.newZap.title} onClose={onClose} wide>
      <form onSubmit={create}>
        <div className="dialog-body">
          <fieldset className="gallery" data-testid="zap-template">
            <legend className="hidden">{t.newZap.kind}</legend>
            {CHOICES.map((choice) => (
              <label key={choice.id} className="choice" data-testid={`template-${choice.id}`}>
                <input type="radio" name="template" value={choice.id} checked={kind === choice.id} onChange={() => { setKind(choice.id); setError(undefined); }} />
                <span className="mark">{choice.icon}</span>
                <span className="grow"><strong>{choice.name}</strong><span className="small soft">{choice.about}</span></span>
              </label>
            ))}
          </fieldset>
          {kind === "json" ? <Import text={json} set={setJson} /> : (
            <Field label={t.newZap.name}>
              {(id) => <input id={id} className="input" value={name} required maxLength={200} onChange={(event) => setNamed(event.target.value)} data-testid="zap-name" />}
            </Field>
          )}
          {template && takesUrl(template) && (
            <Field label={t.newZap.call} hint={isLocal && url === OWN_URL ? t.newZap.ownUrl : t.newZap.callHint}>
              {(id, described) => <input id={id} aria-describedby={described} className="input mono" required value={url} placeholder="https://example.com/inbox" onChange={(event) => setUrl(event.target.value)} data-testid="zap-url" />}
            </Field>
          )}
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" disabled={busy} data-testid="create-zap">{template ? t.newZap.create : t.newZap.createDraft}</button>
        </footer>
      </form>
    </Dialog>
  );
}

async function publish(zap: Zap) {
  const { data: live, response } = await whole<Zap>(api.POST("/api/v1/zaps/{zap_id}/publish", { params: { path: { zap_id: zap.id } } }) as never);
  zapChanged(live, response.headers.get("etag"));
}

/** A definition from a file or the clipboard; it can be checked before anything is made of it. */
function Import({ text, set }: { text: string; set: (text: string) => void }) {
  const [found, setFound] = useState<{ error?: unknown; warnings?: readonly { path: string; reason: string }[] }>();
  async function check() {
    try {
      setFound({ warnings: (await data(api.POST("/api/v1/zaps/check", { body: JSON.parse(text) as never }))).warnings });
    } catch (problem) {
      setFound({ error: problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem });
    }
  }
  return (
    <>
      <Field label={t.newZap.definition} hint={t.newZap.definitionHint}>
        {(id, described) => (
          <>
            <input type="file" accept=".json,application/json" aria-label={t.newZap.file}
              onChange={async (event) => { const file = event.target.files?.[0]; if (file) set(await file.text()); setFound(undefined); }} />
            <textarea id={id} aria-describedby={described} className="area code" rows={10} spellCheck={false} required value={text} data-testid="import-json"
              placeholder={'{"name": "…", "trigger": {"type": "webhook.catch", "config": {}}, "steps": []}'} onChange={(event) => { set(event.target.value); setFound(undefined); }} />
          </>
        )}
      </Field>
      <div><button type="button" className="button small" disabled={!text} onClick={() => void check()} data-testid="check">{t.newZap.check}</button></div>
      {found?.error !== undefined && <Failed error={found.error} />}
      {found?.warnings && (
        <Note tone={found.warnings.length > 0 ? "warn" : "good"}>
          {t.newZap.checked(found.warnings.length)}
          {found.warnings.length > 0 && <ul>{found.warnings.map((one) => <li key={one.path}><code>{one.path}</code> {one.reason}</li>)}</ul>}
        </Note>
      )}
    </>
  );
}
