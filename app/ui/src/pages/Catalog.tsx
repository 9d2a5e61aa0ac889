/** What zaps can be made of: connectors, and all their triggers and actions to search. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Blocks, FileUp, Import as ImportIcon, Search, Zap as ZapIcon } from "lucide-react";
import { useDeferredValue, useState } from "react";
import type { CatalogItem, ConnectorItem } from "../api/client";
import { actionsQuery, connectorsQuery, triggersQuery } from "../api/queries";
import { Import } from "../catalog/Import";
import { Shape } from "../catalog/Shape";
import { Upload } from "../catalog/Upload";
import { k } from "../catalog/words";
import { Empty, Failed, Loading, Page, Panel } from "../parts/controls";
import { t } from "../texts";

const SHOWN = 100;
const SOURCES = ["built_in", "uploaded", "imported"] as const;

export function Catalog() {
  const { q = "", source } = useSearch({ strict: false }) as { q?: string; source?: string };
  const navigate = useNavigate();
  const [wish, setWish] = useState<"upload" | "import">();
  const connectors = useQuery(connectorsQuery);
  const shown = (connectors.data ?? []).filter((one) => !source || one.source === source);
  const seek = (next: object) => void navigate({ to: "/catalog", search: { q, source, ...next }, replace: true });
  return (
    <Page title={t.nav.catalog} about={k.about} actions={
      <>
        <button type="button" className="button" onClick={() => setWish("upload")} data-testid="upload"><FileUp aria-hidden />{k.upload}</button>
        <button type="button" className="button primary" onClick={() => setWish("import")} data-testid="import"><ImportIcon aria-hidden />{k.import}</button>
      </>
    }>
      <div className="filters">
        <div className="search"><Search aria-hidden /><input className="input" aria-label={k.search} placeholder={k.search} value={q} onChange={(event) => seek({ q: event.target.value || undefined })} data-testid="search" /></div>
        <select className="select" aria-label={k.source} value={source ?? ""} onChange={(event) => seek({ source: event.target.value || undefined })}>
          <option value="">{k.anySource}</option>
          {SOURCES.map((one) => <option key={one} value={one}>{k.sources[one]}</option>)}
        </select>
      </div>
      {connectors.error && <Failed error={connectors.error} again={() => void connectors.refetch()} />}
      {connectors.isPending && <Loading />}
      {connectors.data && (q ? <Found text={q} connectors={shown} /> : <All connectors={shown} withTriggers={!source || source === "built_in"} />)}
      {wish === "upload" && <Upload onClose={() => setWish(undefined)} />}
      {wish === "import" && <Import onClose={() => setWish(undefined)} />}
    </Page>
  );
}

function All({ connectors, withTriggers }: { connectors: readonly ConnectorItem[]; withTriggers: boolean }) {
  const triggers = useQuery(triggersQuery).data ?? [];
  return (
    <div className="stack">
      <ul className="cards" aria-label={k.connectors}>{connectors.map((one) => <Card key={one.name} one={one} />)}</ul>
      {withTriggers && (
        <Panel title={k.triggers}>
          <ul className="stack tight">{triggers.map((one) => <li key={one.type}><Details one={one} /></li>)}</ul>
        </Panel>
      )}
    </div>
  );
}

function Card({ one }: { one: ConnectorItem }) {
  return (
    <li className="panel service" data-testid="connector">
      <div className="row"><span className="mark"><Blocks aria-hidden /></span><Link className="main grow clip" to="/catalog/$name" params={{ name: one.name }}>{one.title}</Link>{one.source !== "built_in" && <span className="badge">{k.sources[one.source]}</span>}</div>
      <p className="small soft lines-2 wrap-any">{one.description}</p>
      <p className="small faint">{k.count(one.actions)}{one.source !== "built_in" && <> · {one.version}</>}</p>
    </li>
  );
}

/** A trigger with all there is to know of it, once it is opened. */
function Details({ one }: { one: CatalogItem }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="item" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary><strong>{one.name}</strong> <code className="small faint wrap-any">{one.type}</code><div className="small soft wrap-any">{one.description}</div></summary>
      {isOpen && <div className="body"><Shape schema={one.config_schema} example={undefined} sample={one.example} /></div>}
    </details>
  );
}

function Found({ text, connectors }: { text: string; connectors: readonly ConnectorItem[] }) {
  const wanted = useDeferredValue(text);
  const actions = useQuery(actionsQuery);
  const triggers = useQuery(triggersQuery);
  if (actions.error) return <Failed error={actions.error} />;
  if (!actions.data || !triggers.data) return <Loading />;
  const titles = new Map(connectors.map((one) => [one.name, one.title]));
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (one: CatalogItem) => {
    const said = `${one.type} ${one.name} ${one.description} ${titles.get(connectorOf(one)) ?? ""}`.toLowerCase();
    return words.every((word) => said.includes(word));
  };
  const started = triggers.data.filter(matches);
  const done = actions.data.filter((one) => titles.has(connectorOf(one)) && matches(one));
  const shown = done.slice(0, SHOWN);
  if (started.length + done.length === 0) return <Panel><Empty icon={<Search aria-hidden />} title={k.nothing}>{k.nothingAbout}</Empty></Panel>;
  return (
    <Panel flush>
      <p className="small soft count" role="status" data-testid="found">{k.found(started.length + done.length)}</p>
      <table className="table">
        <tbody>
          {started.map((one) => <tr key={one.type} data-testid="catalog-row"><td className="full"><div className="row"><ZapIcon aria-hidden size={15} /><span className="main">{one.name}</span><code className="small faint">{one.type}</code></div><div className="small soft wrap-any">{one.description}</div></td><td className="fit soft">{k.triggers}</td></tr>)}
          {shown.map((one) => (
            <tr key={one.type} data-testid="catalog-row">
              <td className="full"><Link className="main wrap-any" to="/catalog/$name" params={{ name: connectorOf(one) }} search={{ action: one.type }}>{one.name}</Link> <code className="small faint wrap-any">{one.type}</code><div className="small soft wrap-any lines-2">{one.description}</div></td>
              <td className="fit soft">{titles.get(connectorOf(one))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {done.length > shown.length && <p className="small faint count">{k.more(done.length - shown.length)}</p>}
    </Panel>
  );
}

const connectorOf = (one: CatalogItem) => one.type.split(/[.@]/)[0] ?? "";
