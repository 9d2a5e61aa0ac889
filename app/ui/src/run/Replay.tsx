/** Run again: from which step, on which version, with which body. */
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { type Run, api, data } from "../api/client";
import { Failed, Field } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { t } from "../texts";
import type { Step } from "../zap/steps";

export function Replay({ run, steps, onClose }: { run: Run; steps: readonly Step[]; onClose: () => void }) {
  const navigate = useNavigate();
  const [from, setFrom] = useState("");
  const [version, setVersion] = useState<"original" | "latest">("original");
  const body = run.trigger.body;
  const canEdit = body !== undefined && !JSON.stringify(body ?? null).includes('"$large"');
  const [edits, setEdits] = useState(false);
  const [text, setText] = useState(() => (canEdit ? JSON.stringify(body, null, 2) : ""));
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function send() {
    setBusy(true);
    setError(undefined);
    try {
      const wish = { version, ...(from ? { from_step: from } : {}), ...(edits ? { payload: JSON.parse(text) as never } : {}) };
      const made = await data(api.POST("/api/v1/runs/{run_id}/replay", { params: { path: { run_id: run.id } }, body: wish }));
      onClose();
      await navigate({ to: "/runs/$id", params: { id: made.id } });
    } catch (problem) {
      setError(problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={t.replay.title} onClose={onClose}>
      <div className="dialog-body">
        <p className="soft">{t.replay.about}</p>
        <Field label={t.replay.from} hint={from ? t.replay.fromHint : undefined}>
          {(id, described) => (
            <select id={id} aria-describedby={described} className="select" value={from} onChange={(event) => setFrom(event.target.value)} data-testid="replay-from">
              <option value="">{t.replay.all}</option>
              {steps.map((step) => <option key={step.id} value={step.id}>{step.id}</option>)}
            </select>
          )}
        </Field>
        <Field label={t.replay.version}>
          {(id) => (
            <select id={id} className="select" value={version} onChange={(event) => setVersion(event.target.value as "original")} data-testid="replay-version">
              <option value="original">{t.replay.originalOf(run.zap_version)}</option>
              <option value="latest">{t.replay.latest}</option>
            </select>
          )}
        </Field>
        {canEdit && (
          <label className="check">
            <input type="checkbox" checked={edits} onChange={(event) => setEdits(event.target.checked)} />
            <span>{t.replay.edit}</span>
          </label>
        )}
        {edits && (
          <Field label={t.run.body}>
            {(id) => <textarea id={id} className="area code" rows={12} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />}
          </Field>
        )}
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="button" className="button primary" disabled={busy} onClick={() => void send()} data-testid="replay-confirm">{t.replay.send}</button>
      </footer>
    </Dialog>
  );
}
