/** Connections: credentials that zaps call others with. They can be tried, changed and taken away, and never read. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Cable, FlaskConical, Pencil, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { type Connection, api, data } from "../api/client";
import { connectionsQuery, queryClient, usesQuery } from "../api/queries";
import { ConnectionForm } from "../connections/Form";
import { Empty, Failed, Field, Loading, Note, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Confirm, Dialog, Menu, MenuItem } from "../parts/overlays";
import { Ago } from "../parts/time";
import { t } from "../texts";

const TONES = { ok: "good", untested: "", failed: "bad", needs_reconnect: "warn" } as const;
const changed = () => queryClient.invalidateQueries({ queryKey: ["connections"] });

export function Connections() {
  const found = useInfiniteQuery(connectionsQuery);
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const [isNew, setNew] = useState(false);
  const [consent, setConsent] = useState<string>();
  const create = <button type="button" className="button primary" onClick={() => setNew(true)} data-testid="new-connection"><Plus aria-hidden />{t.connections.create}</button>;
  return (
    <Page title={t.nav.connections} about={t.connections.about} actions={items.length > 0 ? create : undefined}>
      {consent && <Note tone="warn">{t.connections.consent} <a href={consent}>{t.connections.toConsent}</a></Note>}
      {found.error && <Failed error={found.error} again={() => void found.refetch()} />}
      {found.isPending && !found.error && <Loading />}
      {found.data && items.length === 0 && <Panel><Empty icon={<Cable aria-hidden />} title={t.connections.none} action={create}>{t.connections.noneAbout}</Empty></Panel>}
      {items.length > 0 && (
        <Panel flush>
          <table className="table">
            <thead><tr><th>{t.common.name}</th><th className="fit">{t.connections.kind}</th><th className="fit">{t.common.status}</th><th className="fit">{t.connections.usedBy}</th><th className="fit">{t.settings.lastUsed}</th><th className="fit"><span className="hidden">{t.common.actions}</span></th></tr></thead>
            <tbody>{items.map((one) => <Row key={one.id} one={one} />)}</tbody>
          </table>
          <More shown={items.length} query={found} />
        </Panel>
      )}
      {isNew && <ConnectionForm onClose={() => setNew(false)} done={(made) => { setNew(false); setConsent(made.authorize_url); void changed(); }} />}
    </Page>
  );
}

function Row({ one }: { one: Connection }) {
  const [wish, setWish] = useState<"change" | "test" | "delete" | "uses">();
  const shut = () => setWish(undefined);
  const { hosts } = one.config as { hosts?: string[] };
  return (
    <tr data-testid="connection-row">
      <td className="grow"><span className="main wrap-any">{one.name}</span><div className="small faint wrap-any">{(hosts ?? []).join(", ")}</div></td>
      <td className="fit soft">{t.connections.kinds[one.kind]}</td>
      <td className="fit"><span className={`badge ${TONES[one.status]}`}>{t.connections.statuses[one.status]}</span></td>
      <td className="fit">{one.used_by > 0 ? <button type="button" className="linkish" onClick={() => setWish("uses")}>{t.connections.zaps(one.used_by)}</button> : <span className="faint">{t.connections.unused}</span>}</td>
      <td className="fit soft">{one.last_used_at && <Ago at={one.last_used_at} />}</td>
      <td className="fit end">
        <Menu label={t.zaps.actionsOf(one.name)}>
          <MenuItem icon={<FlaskConical aria-hidden />} onSelect={() => setWish("test")} testId="test-connection">{t.connections.test}</MenuItem>
          <MenuItem icon={<Pencil aria-hidden />} onSelect={() => setWish("change")}>{t.connections.changeIt}</MenuItem>
          <hr />
          <MenuItem icon={<Trash2 aria-hidden />} danger onSelect={() => setWish("delete")} testId="delete-connection">{t.zap.delete}</MenuItem>
        </Menu>
        {wish === "change" && <ConnectionForm of={one} onClose={shut} done={() => { shut(); void changed(); }} />}
        {wish === "test" && <Trial one={one} onClose={() => { shut(); void changed(); }} />}
        {wish === "uses" && <Dialog title={t.connections.usesOf(one.name)} onClose={shut}><div className="dialog-body"><Uses id={one.id} /></div><footer><button type="button" className="button primary" onClick={shut}>{t.common.close}</button></footer></Dialog>}
        {wish === "delete" && (
          <Confirm title={t.connections.deleteTitle(one.name)} action={t.zap.delete} danger onClose={shut} onConfirm={async () => {
            await data(api.DELETE("/api/v1/connections/{connection_id}", { params: { path: { connection_id: one.id }, query: { force: true } } }));
            await changed();
          }}>
            <p>{t.connections.deleteAbout}</p>
            <Uses id={one.id} />
          </Confirm>
        )}
      </td>
    </tr>
  );
}

/** Which zaps name it: their steps fail once it is gone. */
function Uses({ id }: { id: string }) {
  const { data: uses, error } = useQuery(usesQuery(id));
  if (error) return <Failed error={error} />;
  if (!uses) return <Loading />;
  if (uses.length === 0) return <p className="soft">{t.connections.nobody}</p>;
  return <ul className="stack close">{uses.map((use) => <li key={`${use.zap_id} ${use.version}`}><Link to="/zaps/$id" params={{ id: use.zap_id }}>{use.name}</Link> <span className="small faint">{t.connections.inVersion[use.version]}: {use.places.join(", ")}</span></li>)}</ul>;
}

function Trial({ one, onClose }: { one: Connection; onClose: () => void }) {
  const [url, setUrl] = useState("");
  const [outcome, setOutcome] = useState<{ ok: boolean; detail: string; http_status?: number | null }>();
  const [error, setError] = useState<unknown>();
  async function run() {
    setError(undefined);
    try {
      setOutcome(await data(api.POST("/api/v1/connections/{connection_id}/test", { params: { path: { connection_id: one.id } }, body: { url: url || null } })));
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t.connections.testOf(one.name)} onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void run(); }}>
        <div className="dialog-body">
          <Field label={t.connections.testUrl} hint={t.connections.testAbout}>{(id, described) => <input id={id} aria-describedby={described} className="input mono" value={url} placeholder="https://api.example.com/me" onChange={(event) => setUrl(event.target.value)} />}</Field>
          {outcome && <Note tone={outcome.ok ? "good" : "bad"}><span data-testid="trial">{outcome.ok ? t.connections.works : t.connections.refused} {outcome.detail}</span></Note>}
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.close}</button>
          <button type="submit" className="button primary" data-testid="run-trial">{t.connections.test}</button>
        </footer>
      </form>
    </Dialog>
  );
}
