/** A connector as a file: all that is wrong with it is said at once, by where it stands. */
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ApiError, api, data } from "../api/client";
import { queryClient } from "../api/queries";
import { root } from "../api/session";
import { Failed, Field, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { k } from "./words";

/** Everything that shows connectors or their actions asks anew. */
export const added = () => Promise.all([queryClient.invalidateQueries({ queryKey: ["connectors"] }), queryClient.invalidateQueries({ queryKey: ["actions"] })]);

export function Upload({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function send(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const { connector } = await data(api.POST("/api/v1/connectors", { body: { file: text } }));
      await added();
      toast(k.uploaded(connector.title, connector.version));
      onClose();
      await navigate({ to: "/catalog/$name", params: { name: connector.name } });
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={k.uploadTitle} wide onClose={onClose}>
      <form onSubmit={send}>
        <div className="dialog-body" data-testid="upload-form">
          <Field label={k.file} hint={<>{k.fileHint} <a href={`${root}/docs/guide/connectors`} target="_blank" rel="noreferrer">{k.guide}</a></>}>
            {(id, described) => <input id={id} aria-describedby={described} className="input" type="file" accept=".yaml,.yml,.json" data-testid="upload-file" onChange={(event) => void event.target.files?.[0]?.text().then(setText)} />}
          </Field>
          <Field label={k.text}>{(id) => <textarea id={id} className="area code" rows={12} spellCheck={false} required value={text} onChange={(event) => setText(event.target.value)} data-testid="upload-text" />}</Field>
          {error !== undefined && <Mistakes error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" disabled={busy} data-testid="upload-send">{k.upload}</button>
        </footer>
      </form>
    </Dialog>
  );
}

export function Mistakes({ error }: { error: unknown }) {
  const rules = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  if (rules.length === 0) return <Failed error={error} />;
  return (
    <Note tone="bad">
      <p>{k.wrong(rules.length)}</p>
      <ul className="stack close" data-testid="mistakes">{rules.map((rule) => <li key={`${rule.pointer} ${rule.reason}`}><code>{rule.pointer || rule.path || k.whole}</code>: {rule.reason}</li>)}</ul>
    </Note>
  );
}
