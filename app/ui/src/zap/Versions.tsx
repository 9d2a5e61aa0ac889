/** The published versions, and the way back to one of them. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Check, Undo2 } from "lucide-react";
import { useState } from "react";
import { type Zap, type ZapVersion, api, whole } from "../api/client";
import { versionsQuery, zapChanged } from "../api/queries";
import { Empty, Failed, Loading, Panel } from "../parts/controls";
import { Json } from "../parts/Json";
import { More } from "../parts/More";
import { Confirm } from "../parts/overlays";
import { Moment } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";

export function Versions({ zap }: { zap: Zap }) {
  const versions = useInfiniteQuery(versionsQuery(zap.id, zap.position));
  const [back, setBack] = useState<ZapVersion>();
  const items = (versions.data?.pages ?? []).flatMap((page) => page.items);
  if (versions.error) return <Failed error={versions.error} again={() => void versions.refetch()} />;
  if (versions.isPending) return <Loading />;
  if (items.length === 0) return <Panel><Empty icon={<Undo2 aria-hidden />} title={t.versions.none}>{t.versions.noneAbout}</Empty></Panel>;
  async function rollBack(number: number) {
    const call = api.POST("/api/v1/zaps/{zap_id}/rollback", { params: { path: { zap_id: zap.id } }, body: { version: number } });
    const { data: changed, response } = await whole<Zap>(call as never);
    zapChanged(changed, response.headers.get("etag"));
    toast(t.versions.rolledBack(number));
  }
  return (
    <div className="stack">
      <ol className="stack tight">{items.map((version) => <One key={version.number} version={version} roll={() => setBack(version)} />)}</ol>
      <More shown={items.length} query={versions} />
      {back && (
        <Confirm title={t.versions.backTitle(back.number)} action={t.versions.back} onClose={() => setBack(undefined)} onConfirm={() => rollBack(back.number)}>
          <p>{t.versions.backAbout}</p>
        </Confirm>
      )}
    </div>
  );
}

function One({ version, roll }: { version: ZapVersion; roll: () => void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li className="panel" data-testid="version">
      <div className="body stack tight" style={{ padding: 12 }}>
        <div className="row wrap">
          <strong>{t.run.version(version.number)}</strong>
          {version.live && <span className="badge good"><Check aria-hidden />{t.versions.live}</span>}
          <span className="soft wrap-any">{version.name}</span>
          <span className="small faint"><Moment at={version.published_at} /></span>
          <span className="row" style={{ marginLeft: "auto" }}>
            <button type="button" className="button small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{isOpen ? t.versions.hide : t.versions.show}</button>
            {!version.live && <button type="button" className="button small" onClick={roll}><Undo2 aria-hidden />{t.versions.back}</button>}
          </span>
        </div>
        {isOpen && <Json value={version.definition} title={t.versions.definition} path="definition" />}
      </div>
    </li>
  );
}
