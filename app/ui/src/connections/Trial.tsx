/** Sends one request with the credential, and says what came of it. */
import { type FormEvent, useState } from "react";
import { type Connection, api, data } from "../api/client";
import { Failed, Field, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { t } from "../texts";
import { c } from "./words";

interface Outcome { ok: boolean; detail: string }

export function Trial({ one, onClose }: { one: Connection; onClose: () => void }) {
  const [url, setUrl] = useState("");
  const [outcome, setOutcome] = useState<Outcome>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function run(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    setOutcome(undefined);
    try {
      setOutcome(await data(api.POST("/api/v1/connections/{connection_id}/test", { params: { path: { connection_id: one.id } }, body: { url: url || null } })));
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }
  return (
    <Dialog title={c.testOf(one.name)} onClose={onClose}>
      <form onSubmit={run}>
        <div className="dialog-body">
          <Field label={c.testUrl} hint={c.testAbout}>{(id, described) => <input id={id} aria-describedby={described} className="input mono" value={url} placeholder="https://api.example.com/me" onChange={(event) => setUrl(event.target.value)} data-testid="trial-url" />}</Field>
          {outcome && <Note tone={outcome.ok ? "good" : "bad"}><span data-testid="trial">{outcome.ok ? c.works : c.refused} {outcome.detail}</span></Note>}
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.close}</button>
          <button type="submit" className="button primary" disabled={busy} data-testid="run-trial">{c.test}</button>
        </footer>
      </form>
    </Dialog>
  );
}
