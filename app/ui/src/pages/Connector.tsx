/** One connector: what it can do, what it needs, its versions. */
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Cable, Download, FileUp, RefreshCw, Search } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Service } from "../api/client";
import { connectorQuery } from "../api/queries";
import { Import } from "../catalog/Import";
import { Shape } from "../catalog/Shape";
import { Upload } from "../catalog/Upload";
import { k } from "../catalog/words";
import { ConnectionForm } from "../connections/Form";
import { c } from "../connections/words";
import { Failed, Loading, Note, Page, Panel } from "../parts/controls";
import { save } from "../parts/files";
import { Json } from "../parts/Json";
import { toast } from "../parts/toasts";
import { t } from "../texts";

const SHOWN = 100;
type Wish = "connect" | "upload" | "import";

export function Connector() {
  const { name = "" } = useParams({ strict: false }) as { name?: string };
  const { version, action } = useSearch({ strict: false }) as { version?: string; action?: string };
  const found = useQuery(connectorQuery(name, version));
  if (found.error) return <Page title={name}><Failed error={found.error} again={() => void found.refetch()} /></Page>;
  if (!found.data) return <Loading />;
  return <Shown key={`${name} ${version}`} of={found.data} action={action} />;
}

function Shown({ of, action }: { of: Service; action: string | undefined }) {
  const [wish, setWish] = useState<Wish>();
  const { connector } = of;
  const shut = () => setWish(undefined);
  return (
    <Page title={connector.title} about={connector.description} badge={<span className="badge">{k.sources[connector.source]}</span>} actions={<Buttons of={of} set={setWish} />}>
      <p className="small crumb"><Link to="/catalog">{t.nav.catalog}</Link></p>
      <div className="stack">
        <About of={of} />
        <Actions of={of} action={action} />
        {Object.entries(of.triggers).length > 0 && <Panel title={k.triggers}><ul className="stack tight">{Object.entries(of.triggers).map(([id, one]) => <li key={id}><Preset one={one as Given} /></li>)}</ul></Panel>}
      </div>
      {wish === "connect" && <ConnectionForm service={connector.name} onClose={shut} done={(made) => { shut(); toast(c.saved(made.name)); }} />}
      {wish === "upload" && <Upload onClose={shut} />}
      {wish === "import" && <Import of={connector.name} onClose={shut} />}
    </Page>
  );
}

function Buttons({ of, set }: { of: Service; set: (wish: Wish) => void }) {
  const { connector, file } = of;
  return (
    <>
      {file && <button type="button" className="button" onClick={() => save(`${connector.name}-${connector.version}.json`, new Blob([JSON.stringify(file, null, 2)], { type: "application/json" }))}><Download aria-hidden />{k.download}</button>}
      {connector.source === "uploaded" && <button type="button" className="button" onClick={() => set("upload")}><FileUp aria-hidden />{k.newVersion}</button>}
      {connector.source === "imported" && <button type="button" className="button" onClick={() => set("import")} data-testid="import-again"><RefreshCw aria-hidden />{k.again}</button>}
      {connector.connection_kinds.length > 0 && <button type="button" className="button primary" onClick={() => set("connect")} data-testid="connect"><Cable aria-hidden />{k.connect}</button>}
    </>
  );
}

function About({ of }: { of: Service }) {
  const navigate = useNavigate();
  const { connector, versions, setup } = of as Service & { setup: { base_url?: string; connection?: { help?: string }; limits?: { rate?: string; per?: string; note?: string } | null } };
  const limits = [setup.limits?.rate, setup.limits?.per, setup.limits?.note].filter(Boolean).join(", ");
  return (
    <Panel>
      <dl className="facts">
        <dt>{k.version}</dt>
        <dd>
          {versions.length === 1 ? connector.version : (
            <select className="select" style={{ width: "auto" }} aria-label={k.versions} value={connector.version} data-testid="versions" onChange={(event) => void navigate({ to: "/catalog/$name", params: { name: connector.name }, search: { version: event.target.value } })}>
              {versions.map((one, index) => <option key={one} value={one}>{one}{index === 0 ? ` (${k.newest})` : ""}</option>)}
            </select>
          )}
        </dd>
        {setup.base_url && <><dt>{k.address}</dt><dd><code className="wrap-any">{setup.base_url}</code></dd></>}
        {connector.connection_kinds.length > 0 && <><dt>{k.needs}</dt><dd>{connector.connection_kinds.map((kind) => (c.kinds as Record<string, string>)[kind] ?? kind).join(", ")}</dd></>}
        {limits && <><dt>{k.limits}</dt><dd className="wrap-any">{limits}</dd></>}
      </dl>
      {setup.connection?.help && <div className="below"><Note>{setup.connection.help}</Note></div>}
    </Panel>
  );
}

function Actions({ of, action }: { of: Service; action: string | undefined }) {
  const [text, setText] = useState("");
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = of.actions.filter((one) => words.every((word) => `${one.type} ${one.name} ${one.description}`.toLowerCase().includes(word)));
  const first = [...found].sort((one, other) => Number(other.type === action) - Number(one.type === action)).slice(0, SHOWN);
  return (
    <Panel title={<>{k.actions} <span className="faint">{of.actions.length.toLocaleString("en")}</span></>}>
      <div className="stack tight">
        {of.actions.length > 10 && <div className="search"><Search aria-hidden /><input className="input" aria-label={k.searchHere} placeholder={k.searchHere} value={text} onChange={(event) => setText(event.target.value)} data-testid="search" /></div>}
        <ul className="stack tight">{first.map((one) => <li key={one.type}><Action one={one} isWanted={one.type === action} /></li>)}</ul>
        {found.length > first.length && <p className="small faint">{k.more(found.length - first.length)}</p>}
      </div>
    </Panel>
  );
}

function Action({ one, isWanted }: { one: Service["actions"][number]; isWanted: boolean }) {
  const [isOpen, setOpen] = useState(isWanted);
  const ref = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (isWanted) void ref.current?.scrollIntoView({ block: "nearest" });
  }, [isWanted]);
  return (
    <details ref={ref} className="item" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)} data-testid={`action-${one.type}`}>
      <summary><strong className="wrap-any">{one.name}</strong> <code className="small faint wrap-any">{one.type}</code>{!one.name.endsWith(one.description) && <div className="small soft wrap-any">{one.description}</div>}</summary>
      {isOpen && <div className="body stack tight"><p className="small soft">{one.may_repeat ? k.repeat : k.once}</p><Shape schema={one.config_schema} example={undefined} sample={one.sample ?? one.example} /></div>}
    </details>
  );
}

interface Given { name: string; type?: string; description?: string; setup?: string; events?: string[]; config?: object; samples?: Record<string, unknown>; register?: { at: string; example: unknown } }

function Preset({ one }: { one: Given }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="item" onToggle={(event) => setOpen(event.currentTarget.open)} data-testid="preset">
      <summary><strong>{one.name}</strong><div className="small soft wrap-any">{one.description}</div></summary>
      {isOpen && (
        <div className="body stack tight">
          {one.register ? <Note tone="info">{k.registers}</Note> : one.setup && <Note>{one.setup}</Note>}
          {one.events && one.events.length > 0 && <p className="small"><strong>{k.events}:</strong> {one.events.join(", ")}</p>}
          <p className="small soft">{k.startsBy}</p>
          <Json value={{ type: one.type ?? "webhook.catch", config: { ...(one.config ?? {}), ...(one.register ? { register: { at: one.register.at, input: one.register.example } } : {}) } }} title={one.type ?? "webhook.catch"} path="trigger" />
          {Object.entries(one.samples ?? {}).map(([name, body]) => <Json key={name} value={body} title={`${k.samples}: ${name}`} path="trigger.body" />)}
        </div>
      )}
    </details>
  );
}
