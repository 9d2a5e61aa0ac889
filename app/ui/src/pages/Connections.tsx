/** Connections: credentials that zaps call others with. They can be tried, changed and taken away, and never read. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Cable, Check, CircleDashed, FlaskConical, Pencil, Plus, RefreshCw, Trash2, TriangleAlert, X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { ApiError, type Connection, api, data } from "../api/client";
import { connectionsQuery, queryClient, usesQuery } from "../api/queries";
import { Consent } from "../connections/Consent";
import { ConnectionForm } from "../connections/Form";
import { Trial } from "../connections/Trial";
import { Uses, UsesDialog } from "../connections/Uses";
import { c } from "../connections/words";
import { Empty, Failed, Loading, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Confirm, Menu, MenuItem } from "../parts/overlays";
import { Ago } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";

const LOOKS: Record<Connection["status"], { tone: string; icon: ReactNode }> = {
  ok: { tone: "good", icon: <Check aria-hidden /> }, untested: { tone: "rest", icon: <CircleDashed aria-hidden /> },
  failed: { tone: "bad", icon: <X aria-hidden /> }, needs_reconnect: { tone: "warn", icon: <TriangleAlert aria-hidden /> },
};
const changed = () => queryClient.invalidateQueries({ queryKey: ["connections"] });

export function Connections() {
  const found = useInfiniteQuery(connectionsQuery);
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const [isNew, setNew] = useState(false);
  const create = <button type="button" className="button primary" onClick={() => setNew(true)} data-testid="new-connection"><Plus aria-hidden />{c.create}</button>;
  return (
    <Page title={t.nav.connections} about={c.about} actions={items.length > 0 ? create : undefined}>
      {found.error && <Failed error={found.error} again={() => void found.refetch()} />}
      {found.isPending && !found.error && <Loading />}
      {found.data && items.length === 0 && <Panel><Empty icon={<Cable aria-hidden />} title={c.none} action={create}>{c.noneAbout}</Empty></Panel>}
      {items.length > 0 && (
        <Panel flush>
          <table className="table">
            <thead><tr>{[t.common.name, c.kind, t.common.status, c.usedBy, c.lastUsed, c.refreshed, c.expires].map((name, index) => <th key={name} className={index === 0 ? "" : "fit"}>{name}</th>)}<th className="fit"><span className="hidden">{t.common.actions}</span></th></tr></thead>
            <tbody>{items.map((one) => <Row key={one.id} one={one} />)}</tbody>
          </table>
          <More shown={items.length} query={found} />
        </Panel>
      )}
      {isNew && <ConnectionForm onClose={() => setNew(false)} done={(made) => { setNew(false); toast(c.saved(made.name)); void changed(); }} />}
    </Page>
  );
}

type Wish = "change" | "test" | "delete" | "uses" | { consent: string };

function Row({ one }: { one: Connection }) {
  const [wish, setWish] = useState<Wish>();
  const shut = () => { setWish(undefined); void changed(); };
  const { hosts, grant } = one.config as { hosts?: string[]; grant?: string };
  const look = LOOKS[one.status];
  async function reconnect() {
    try {
      const { authorize_url } = await data(api.POST("/api/v1/connections/{connection_id}/reconnect", { params: { path: { connection_id: one.id } } }));
      setWish({ consent: authorize_url });
    } catch (problem) {
      toast(problem instanceof Error ? problem.message : String(problem));
    }
  }
  return (
    <tr data-testid="connection-row">
      <td className="grow"><span className="main wrap-any">{one.name}</span><div className="small faint wrap-any">{(hosts ?? []).join(", ")}</div></td>
      <td className="fit soft">{c.kinds[one.kind]}</td>
      <td className="fit">
        <div className="row"><span className={`badge ${look.tone}`} data-testid="connection-status">{look.icon}{c.statuses[one.status]}</span>
          {one.status === "needs_reconnect" && grant === "authorization_code" && <button type="button" className="button small" onClick={() => void reconnect()} data-testid="reconnect">{c.reconnect}</button>}</div>
      </td>
      <td className="fit">{one.used_by > 0 ? <button type="button" className="linkish" onClick={() => setWish("uses")}>{c.zaps(one.used_by)}</button> : <span className="faint">{c.unused}</span>}</td>
      <Time name={c.lastUsed} at={one.last_used_at} /><Time name={c.refreshed} at={one.last_refreshed_at} /><Time name={c.expires} at={one.expires_at} />
      <td className="fit end corner">
        <Menu label={c.actionsOf(one.name)}>
          <MenuItem icon={<FlaskConical aria-hidden />} onSelect={() => setWish("test")} testId="test-connection">{c.test}</MenuItem>
          <MenuItem icon={<Pencil aria-hidden />} onSelect={() => setWish("change")} testId="change-connection">{c.changeIt}</MenuItem>
          {grant === "authorization_code" && <MenuItem icon={<RefreshCw aria-hidden />} onSelect={() => void reconnect()} testId="consent-again">{c.reconnect}</MenuItem>}
          <hr />
          <MenuItem icon={<Trash2 aria-hidden />} danger onSelect={() => setWish("delete")} testId="delete-connection">{c.remove}</MenuItem>
        </Menu>
        {wish === "change" && <ConnectionForm of={one} onClose={shut} done={shut} />}
        {wish === "test" && <Trial one={one} onClose={shut} />}
        {wish === "uses" && <UsesDialog name={one.name} query={usesQuery(one.id)} onClose={shut} />}
        {wish === "delete" && <Removal one={one} onClose={shut} />}
        {typeof wish === "object" && <Consent of={one} url={wish.consent} onClose={shut} />}
      </td>
    </tr>
  );
}

function Time({ name, at }: { name: string; at: string | null | undefined }) {
  return <td className="fit soft">{at && <><span className="label-narrow faint small">{name} </span><Ago at={at} /></>}</td>;
}

/** Refused while zaps name it; whoever has seen which may insist. */
function Removal({ one, onClose }: { one: Connection; onClose: () => void }) {
  const [isUsed, setUsed] = useState(false);
  async function remove(force: boolean) {
    try {
      await data(api.DELETE("/api/v1/connections/{connection_id}", { params: { path: { connection_id: one.id }, query: force ? { force } : {} } }));
    } catch (problem) {
      if (problem instanceof ApiError && problem.code === "in_use") setUsed(true);
      throw problem;
    }
    await changed();
  }
  return (
    <Confirm title={c.removeTitle(one.name)} action={isUsed ? c.removeAnyway : c.remove} danger onClose={onClose} onConfirm={() => remove(isUsed)}>
      <p>{isUsed ? c.inUse : c.removeAbout}</p>
      {isUsed && <Uses query={usesQuery(one.id)} />}
    </Confirm>
  );
}
