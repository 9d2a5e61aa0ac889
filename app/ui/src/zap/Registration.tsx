/** How the zap's hook stands with the service that is told of it. */
import { useQuery } from "@tanstack/react-query";
import { RefreshCw } from "lucide-react";
import { type Zap, api, data } from "../api/client";
import { queryClient, registrationQuery } from "../api/queries";
import { Note, Panel, said } from "../parts/controls";
import { Ago } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";

const TONES: Record<string, string> = { registered: "good", failed: "bad", registering: "warn", removing: "warn" };

export function Registration({ zap }: { zap: Zap }) {
  const found = useQuery({ ...registrationQuery(zap.id), enabled: zap.hook_url !== null }).data;
  if (!found || found.status === "none") return null;
  async function again() {
    try {
      await data(api.POST("/api/v1/zaps/{zap_id}/register", { params: { path: { zap_id: zap.id } } }));
      await queryClient.invalidateQueries({ queryKey: ["registration", zap.id] });
    } catch (problem) {
      toast(said(problem));
    }
  }
  const button = zap.status === "enabled" && <button type="button" className="button small" onClick={() => void again()} data-testid="register-again"><RefreshCw aria-hidden />{t.registration.again}</button>;
  return (
    <Panel title={t.registration.title} actions={button}>
      <div className="stack tight" data-testid="registration">
        <p className="row wrap small"><span className={`badge ${TONES[found.status] ?? ""}`}>{t.registration.statuses[found.status]}</span>{found.at && <code>{found.at}</code>}<Ago at={found.since} /></p>
        {found.message && <Note tone="warn"><span className="wrap-any">{found.status === "removed" ? t.registration.left : null} {found.message}</span></Note>}
        {found.status === "failed" && <p className="small soft">{found.next_at ? <>{t.registration.next} <Ago at={found.next_at} /></> : t.registration.gaveUp}</p>}
      </div>
    </Panel>
  );
}
