/** Which zaps name a connection or a variable, and at which steps. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { usesQuery, variableUsesQuery } from "../api/queries";
import { Failed, Loading } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { t } from "../texts";
import { c } from "./words";

type Query = ReturnType<typeof usesQuery> | ReturnType<typeof variableUsesQuery>;

export function Uses({ query, before }: { query: Query; before?: string }) {
  const { data: uses, error } = useQuery(query as ReturnType<typeof usesQuery>);
  if (error) return <Failed error={error} />;
  if (!uses) return <Loading />;
  if (uses.length === 0) return <p className="soft">{c.nobody}</p>;
  return (
    <>
      {before && <p>{before}</p>}
      <ul className="stack close uses" data-testid="uses">{uses.map((use) => <li key={`${use.zap_id} ${use.version}`}><Link to="/zaps/$id" params={{ id: use.zap_id }} className="wrap-any">{use.name}</Link> <span className="small faint">{c.inVersion[use.version]}: {use.places.join(", ")}</span></li>)}</ul>
    </>
  );
}

export function UsesDialog({ name, query, onClose }: { name: string; query: Query; onClose: () => void }) {
  return (
    <Dialog title={c.usesOf(name)} onClose={onClose}>
      <div className="dialog-body"><Uses query={query} /></div>
      <footer><button type="button" className="button primary" onClick={onClose}>{t.common.close}</button></footer>
    </Dialog>
  );
}
