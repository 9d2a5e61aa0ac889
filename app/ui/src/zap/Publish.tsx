/** Publishing: what changes for new runs, and a note that says why. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Zap, api, whole } from "../api/client";
import { versionQuery, zapChanged } from "../api/queries";
import { Failed, Field, Loading, Note } from "../parts/controls";
import { Diff } from "../parts/Diff";
import { Dialog } from "../parts/overlays";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { type Written, differences } from "./diff";

/** What new runs use, and what they would. */
export function Live({ zap, draft }: { zap: Pick<Zap, "id" | "version">; draft: Written }) {
  const live = useQuery({ ...versionQuery(zap.id, zap.version), enabled: zap.version > 0 });
  if (zap.version === 0) return <p className="soft">{t.publish.first}</p>;
  if (live.error) return <Failed error={live.error} />;
  if (!live.data) return <Loading />;
  const before = { name: live.data.name, ...(live.data.definition as Written) };
  return (
    <div className="stack tight">
      <p className="small soft">{t.publish.against(zap.version)}</p>
      <Diff changes={differences(before, draft, t.diff.order)} />
    </div>
  );
}

/** `save` makes sure that the server has what is seen, and gives the ETag that is published; undefined where it does not take it. */
export function Publish({ zap, draft, save, done, onClose }: {
  zap: Zap; draft: Written; save: () => Promise<string | null | undefined>; done?: (etag: string | null) => void; onClose: () => void;
}) {
  const [note, setNote] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function publish() {
    setBusy(true);
    setError(undefined);
    try {
      const tag = await save();
      if (tag === undefined) throw new Error(t.publish.notSaved);
      const call = api.POST("/api/v1/zaps/{zap_id}/publish", { params: { path: { zap_id: zap.id }, header: { "If-Match": tag ?? "*" } }, body: { note: note.trim() } });
      const { data: live, response } = await whole<Zap>(call as never);
      done?.(response.headers.get("etag"));
      zapChanged(live, response.headers.get("etag"));
      toast(t.zap.done.publish(live.name));
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={t.publish.title(zap.name)} onClose={onClose} wide>
      <form onSubmit={(event) => { event.preventDefault(); void publish(); }}>
        <div className="dialog-body">
          <Field label={t.publish.note} hint={t.publish.noteHint}>
            {(id, described) => <textarea id={id} aria-describedby={described} className="area" rows={2} maxLength={2_000} value={note} onChange={(event) => setNote(event.target.value)} data-testid="publish-note" />}
          </Field>
          <Live zap={zap} draft={draft} />
          {zap.status === "paused" && <Note tone="warn">{t.publish.paused}</Note>}
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" disabled={busy} data-testid="publish-confirm">{t.zap.publish}</button>
        </footer>
      </form>
    </Dialog>
  );
}
