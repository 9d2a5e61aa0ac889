/** The published versions: what each changed and why, and the way back to one of them. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Check, Undo2 } from "lucide-react";
import { useState } from "react";
import { type Zap, type ZapVersion, api, whole } from "../api/client";
import { versionQuery, versionsQuery, zapChanged } from "../api/queries";
import { Empty, Failed, Field, Loading, Panel } from "../parts/controls";
import { Diff } from "../parts/Diff";
import { Json } from "../parts/Json";
import { More } from "../parts/More";
import { Confirm } from "../parts/overlays";
import { Moment } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { type Written, differences } from "./diff";

const written = (of: { name: string; definition: unknown }): Written => ({ name: of.name, ...(of.definition as Written) });

export function Versions({ zap }: { zap: Zap }) {
  const versions = useInfiniteQuery(versionsQuery(zap.id, zap.position));
  const [back, setBack] = useState<ZapVersion>();
  const items = (versions.data?.pages ?? []).flatMap((page) => page.items);
  if (versions.error) return <Failed error={versions.error} again={() => void versions.refetch()} />;
  if (versions.isPending) return <Loading />;
  if (items.length === 0) return <Panel><Empty icon={<Undo2 aria-hidden />} title={t.versions.none}>{t.versions.noneAbout}</Empty></Panel>;
  const live = items.find((version) => version.live);
  async function rollBack(number: number) {
    const call = api.POST("/api/v1/zaps/{zap_id}/rollback", { params: { path: { zap_id: zap.id } }, body: { version: number } });
    const { data: changed, response } = await whole<Zap>(call as never);
    zapChanged(changed, response.headers.get("etag"));
    toast(t.versions.rolledBack(number));
  }
  return (
    <div className="stack">
      <ol className="stack tight">{items.map((version) => <One key={version.number} zap={zap} version={version} roll={() => setBack(version)} />)}</ol>
      <More shown={items.length} query={versions} />
      {back && (
        <Confirm title={t.versions.backTitle(back.number)} action={t.versions.back} wide onClose={() => setBack(undefined)} onConfirm={() => rollBack(back.number)}>
          <p>{t.versions.backAbout}</p>
          {live && <Diff changes={differences(written(live), written(back), t.diff.order)} />}
          {zap.draft_differs && <p className="soft">{t.versions.aside}</p>}
        </Confirm>
      )}
    </div>
  );
}

function One({ zap, version, roll }: { zap: Zap; version: ZapVersion; roll: () => void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li className="panel" data-testid="version">
      <div className="body stack tight">
        <div className="row wrap">
          <strong>{t.run.version(version.number)}</strong>
          {version.live && <span className="badge good"><Check aria-hidden />{t.versions.live}</span>}
          <span className="soft wrap-any">{version.name}</span>
          <span className="small faint"><Moment at={version.published_at} /></span>
          <span className="row push">
            <button type="button" className="button small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)} data-testid="compare">{isOpen ? t.versions.hide : t.versions.show}</button>
            {!version.live && <button type="button" className="button small" onClick={roll} data-testid="roll-back"><Undo2 aria-hidden />{t.versions.back}</button>}
          </span>
        </div>
        {version.note && <p className="wrap-any lines" data-testid="version-note">{version.note}</p>}
        {isOpen && <Compared zap={zap} version={version} />}
      </div>
    </li>
  );
}

/** A version beside another one, or beside the draft. */
function Compared({ zap, version }: { zap: Zap; version: ZapVersion }) {
  const [other, setOther] = useState(version.number > 1 ? String(version.number - 1) : "draft");
  const isPublished = other !== "draft" && other !== "json";
  const found = useQuery({ ...versionQuery(zap.id, Number(other)), enabled: isPublished });
  const numbers = Array.from({ length: Math.max(version.number, zap.version) + 1 }, (_, index) => index).filter((number) => number > 0 && number !== version.number).reverse();
  return (
    <div className="stack tight">
      <Field label={t.versions.compare}>
        {(id) => (
          <select id={id} className="select" style={{ maxWidth: 260 }} value={other} onChange={(event) => setOther(event.target.value)}>
            {numbers.map((number) => <option key={number} value={number}>{t.run.version(number)}</option>)}
            <option value="draft">{t.zap.draft}</option>
            <option value="json">{t.versions.definition}</option>
          </select>
        )}
      </Field>
      {other === "json" && <Json value={version.definition} title={t.versions.definition} path="definition" />}
      {other === "draft" && <Diff changes={differences(written(version), written({ name: zap.name, definition: zap.draft }), t.diff.order)} />}
      {isPublished && found.error && <Failed error={found.error} />}
      {isPublished && found.data && <Diff changes={differences(...inOrder(found.data, version), t.diff.order)} />}
    </div>
  );
}

/** The older of two versions first. */
const inOrder = (one: ZapVersion, other: ZapVersion): [Written, Written] => (one.number < other.number ? [written(one), written(other)] : [written(other), written(one)]);
