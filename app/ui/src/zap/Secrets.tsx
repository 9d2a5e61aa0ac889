/** The secrets that a hook verifies its senders with: they can be replaced, and never read. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Zap, api, data } from "../api/client";
import { firstTrigger, queryClient } from "../api/queries";
import { Failed, Field, Note, Panel } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { Ago } from "../parts/time";
import { t } from "../texts";

export function Secrets({ zap }: { zap: Zap }) {
  const verification = (firstTrigger(zap.draft)?.config as { verification?: { preset?: string } } | undefined)?.verification;
  const path = { params: { path: { zap_id: zap.id } } };
  const isVerified = verification !== undefined;
  const state = useQuery({ queryKey: ["secrets", zap.id], queryFn: () => data(api.GET("/api/v1/zaps/{zap_id}/secrets", path)), enabled: isVerified });
  const [isOpen, setOpen] = useState(false);
  if (!isVerified) return null;
  return (
    <Panel title={t.secrets.title} actions={<button type="button" className="button small" onClick={() => setOpen(true)}>{t.secrets.replace}</button>}>
      {state.error && <Failed error={state.error} />}
      {state.data && (state.data.count > 0
        ? <p>{t.secrets.count(state.data.count)} <span className="faint small"><Ago at={state.data.changed_at} /></span></p>
        : <Note tone="warn">{t.secrets.none}</Note>)}
      {isOpen && <Replace zapId={zap.id} onClose={() => { setOpen(false); void queryClient.invalidateQueries({ queryKey: ["secrets", zap.id] }); }} />}
    </Panel>
  );
}

function Replace({ zapId, onClose }: { zapId: string; onClose: () => void }) {
  const [fresh, setFresh] = useState("");
  const [old, setOld] = useState("");
  const [error, setError] = useState<unknown>();
  async function save() {
    try {
      const secrets = [fresh, old].filter(Boolean) as [] | [string] | [string, string];
      await data(api.PUT("/api/v1/zaps/{zap_id}/secrets", { params: { path: { zap_id: zapId } }, body: { secrets } }));
      onClose();
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t.secrets.replace} onClose={onClose}>
      <div className="dialog-body">
        <Field label={t.secrets.fresh}>
          {(id) => <input id={id} className="input mono" type="password" autoComplete="off" value={fresh} onChange={(event) => setFresh(event.target.value)} />}
        </Field>
        <Field label={t.secrets.old} hint={t.secrets.oldHint}>
          {(id, described) => <input id={id} aria-describedby={described} className="input mono" type="password" autoComplete="off" value={old} onChange={(event) => setOld(event.target.value)} />}
        </Field>
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="button" className="button primary" disabled={!fresh} onClick={() => void save()}>{t.common.save}</button>
      </footer>
    </Dialog>
  );
}
