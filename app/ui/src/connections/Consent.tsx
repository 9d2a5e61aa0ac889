/** Somebody consents at the service, in another tab; this one waits until that is done. */
import { useQuery } from "@tanstack/react-query";
import { ExternalLink, LoaderCircle } from "lucide-react";
import { useEffect, useState } from "react";
import type { Connection } from "../api/client";
import { connectionQuery, queryClient } from "../api/queries";
import { Copyable, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { c } from "./words";

const EVERY_MS = 1_500;

export function Consent({ of, url, onClose }: { of: Connection; url: string; onClose: () => void }) {
  const [before] = useState(of.last_refreshed_at);
  const now = useQuery({ ...connectionQuery(of.id), refetchInterval: EVERY_MS, refetchIntervalInBackground: true }).data;
  const isDone = now?.status === "ok" && now.last_refreshed_at !== before;
  useEffect(() => {
    if (isDone) void queryClient.invalidateQueries({ queryKey: ["connections"] });
  }, [isDone]);
  const back = new URL(url).searchParams.get("redirect_uri") ?? "";
  return (
    <Dialog title={c.consentTo(of.name)} onClose={onClose}>
      <div className="dialog-body" data-testid="consent">
        {isDone ? <Note tone="good"><span data-testid="consented">{c.consented}</span></Note> : (
          <>
            <p>{c.consentAbout}</p>
            <div className="field"><span className="label">{c.redirect}</span><Copyable text={back} label={c.redirect} /><span className="hint">{c.redirectAbout}</span></div>
            {url.includes("google") && <p className="small soft">{c.testing}</p>}
            <p className="row soft small" role="status"><LoaderCircle className="spin" aria-hidden size={15} />{c.waiting}</p>
          </>
        )}
      </div>
      <footer>
        {isDone ? <button type="button" className="button primary" onClick={onClose}>{c.done}</button>
        : <a className="button primary" href={url} target="_blank" rel="noopener noreferrer" data-testid="to-consent"><ExternalLink aria-hidden />{c.toConsent}</a>}
      </footer>
    </Dialog>
  );
}
