/** The audit as a file: straight to the disk where the browser can do that, else by way of its memory. */
import { Download } from "lucide-react";
import { useState } from "react";
import { authorised } from "../api/client";
import { root } from "../api/session";
import { CodeBlock, Failed, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { store } from "../parts/files";
import { Moment } from "../parts/time";
import { t } from "../texts";

type Format = "ndjson" | "csv";

export function Export({ from, to }: { from: string | undefined; to: string | undefined }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)} data-testid="export"><Download aria-hidden />{t.audit.download}</button>
      {isOpen && <Ask from={from} to={to} onClose={() => setOpen(false)} />}
    </>
  );
}

function Ask({ from, to, onClose }: { from: string | undefined; to: string | undefined; onClose: () => void }) {
  const [busy, setBusy] = useState<Format>();
  const [error, setError] = useState<unknown>();
  const address = (format: Format) => `${root}/api/v1/audit/export?${new URLSearchParams({ format, ...(from ? { from } : {}), ...(to ? { to } : {}) })}`;
  async function take(format: Format) {
    setBusy(format);
    setError(undefined);
    try {
      await store(`audit.${format}`, () => authorised(new Request(address(format))));
    } catch (problem) {
      if (!(problem instanceof DOMException && problem.name === "AbortError")) setError(problem);
    }
    setBusy(undefined);
  }
  return (
    <Dialog title={t.audit.download} onClose={onClose}>
      <div className="dialog-body">
        <p>{t.audit.downloadAbout}</p>
        <Note>{from || to ? <>{from && <>{t.runs.from} <Moment at={from} /> </>}{to && <>{t.runs.to} <Moment at={to} /></>}</> : t.audit.allTime}</Note>
        {error !== undefined && <Failed error={error} />}
        <p className="small soft">{t.audit.shell}</p>
        <CodeBlock label={t.audit.shell} text={`curl -H 'Authorization: Bearer KEY' -o audit.ndjson \\\n  '${address("ndjson")}'`} />
      </div>
      <footer>
        <button type="button" className="button" disabled={busy !== undefined} onClick={() => void take("csv")} data-testid="export-csv">{t.audit.csv}</button>
        <button type="button" className="button primary" disabled={busy !== undefined} onClick={() => void take("ndjson")} data-testid="export-ndjson">{t.audit.ndjson}</button>
      </footer>
    </Dialog>
  );
}
