/** An API becomes a connector: its document is read, operations are chosen, and what changes is seen before it is kept. */
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { type ApiImport, api, data } from "../api/client";
import { connectorQuery, queryClient } from "../api/queries";
import { c } from "../connections/words";
import { Field, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { Operations } from "./Operations";
import { Mistakes, added } from "./Upload";
import { k } from "./words";

const KINDS = ["none", "bearer", "api_key", "basic", "oauth2", "custom"] as const;
const SHOWN = 100;
const MOST = 2_000;
interface Wish { name: string; document: string; url: string; kind: string; base: string }

async function asked({ name, document, url, kind, base }: Wish, dry_run: boolean, operations?: string[]): Promise<ApiImport> {
  const body = { name, dry_run, ...(document ? { document } : { url }), ...(kind ? { connection_kind: kind } : {}), ...(base ? { base_url: base } : {}), ...(operations ? { operations } : {}) };
  return data(api.POST("/api/v1/connectors/import", { body: body as never }));
}

/** The operations that the version of now has; of a new connector none. */
async function taken(name: string): Promise<ReadonlySet<string>> {
  try {
    const known = await queryClient.fetchQuery(connectorQuery(name));
    return new Set(known.actions.map((action) => action.type.slice(name.length + 1)));
  } catch {
    return new Set();
  }
}

export function Import({ of, onClose }: { of?: string; onClose: () => void }) {
  const navigate = useNavigate();
  const [wish, setWish] = useState<Wish>({ name: of ?? "", document: "", url: "", kind: "", base: "" });
  const [all, setAll] = useState<ApiImport>();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [preview, setPreview] = useState<ApiImport>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const step = preview ? "review" : all ? "choose" : "read";

  async function go(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      if (step === "read") {
        const found = await asked(wish, true);
        const before = await taken(wish.name);
        setChosen(new Set(found.operations.map((one) => one.id).filter((id) => before.has(id))));
        setAll(found);
      } else if (step === "choose") setPreview(await asked(wish, true, [...chosen]));
      else {
        const kept = await asked(wish, false, [...chosen]);
        await added();
        toast(k.imported(kept.name, kept.version));
        onClose();
        await navigate({ to: "/catalog/$name", params: { name: kept.name } });
      }
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }
  const back = () => { setError(undefined); if (preview) setPreview(undefined); else setAll(undefined); };
  const next = { read: busy ? k.reading : k.read, choose: k.next, review: k.keep }[step];
  return (
    <Dialog title={step === "choose" ? k.choose : preview ? k.changes(preview.version) : k.importTitle} wide onClose={onClose}>
      <form onSubmit={go}>
        <div className="dialog-body" data-testid={`import-${step}`}>
          {step === "read" && <Source wish={wish} set={setWish} isAgain={of !== undefined} />}
          {step === "choose" && all && <Operations all={all.operations} chosen={chosen} set={setChosen} />}
          {step === "choose" && chosen.size > MOST && <Note tone="warn">{k.most(MOST)}</Note>}
          {preview && <Changes of={preview} />}
          {error !== undefined && <Mistakes error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={step === "read" ? onClose : back}>{step === "read" ? t.common.cancel : k.back}</button>
          <button type="submit" className="button primary" disabled={busy || (step === "choose" && (chosen.size === 0 || chosen.size > MOST))} data-testid="import-next">{next}</button>
        </footer>
      </form>
    </Dialog>
  );
}

function Source({ wish, set, isAgain }: { wish: Wish; set: (wish: Wish) => void; isAgain: boolean }) {
  const text = (name: keyof Wish, label: string, hint: string | undefined, more: object = {}) => (
    <Field label={label} hint={hint}>{(id, described) => <input id={id} aria-describedby={described} className="input mono" autoComplete="off" value={wish[name]} onChange={(event) => set({ ...wish, [name]: event.target.value })} data-testid={`import-${name}`} {...more} />}</Field>
  );
  return (
    <>
      {text("name", k.name, k.nameHint, { required: true, readOnly: isAgain, pattern: "[a-z][a-z0-9_]{0,49}" })}
      <Field label={k.from} hint={k.fromHint}>
        {(id, described) => <input id={id} aria-describedby={described} className="input" type="file" accept=".json,.yaml,.yml" required={!wish.url && !wish.document} data-testid="import-file" onChange={(event) => void event.target.files?.[0]?.text().then((document) => set({ ...wish, document }))} />}
      </Field>
      {text("url", k.url, undefined, { type: "url", placeholder: "https://api.example.com/openapi.json" })}
      <Field label={k.kind}>
        {(id) => (
          <select id={id} className="select" value={wish.kind} onChange={(event) => set({ ...wish, kind: event.target.value })} data-testid="import-kind">
            <option value="">{k.asSaid}</option>
            {KINDS.map((kind) => <option key={kind} value={kind}>{kind === "none" ? k.none : c.kinds[kind]}</option>)}
          </select>
        )}
      </Field>
      {text("base", k.base, k.baseHint, { type: "url" })}
    </>
  );
}

function Changes({ of }: { of: ApiImport }) {
  const { added: fresh, changed, removed } = of.changes;
  const isSame = fresh.length + changed.length + removed.length === 0;
  return (
    <>
      <dl className="facts"><dt>{k.address}</dt><dd><code className="wrap-any">{of.base_url}</code></dd><dt>{k.kind}</dt><dd>{of.connection_kind === "none" ? k.none : (c.kinds as Record<string, string>)[of.connection_kind]}</dd></dl>
      {isSame && <Note>{k.same}</Note>}
      {([[k.added, fresh], [k.changed, changed], [k.removed, removed]] as const).filter(([, ids]) => ids.length > 0).map(([label, ids]) => (
        <section key={label} className="stack close" aria-label={label} data-testid={`changes-${label.toLowerCase()}`}>
          <h3>{label} <span className="faint">{ids.length.toLocaleString("en")}</span></h3>
          <ul className="row wrap">{ids.slice(0, SHOWN).map((id) => <li key={id}><code className="wrap-any">{id}</code></li>)}</ul>
          {ids.length > SHOWN && <p className="small faint">{k.more(ids.length - SHOWN)}</p>}
        </section>
      ))}
      {of.affected.length > 0 && (
        <Note tone="warn">
          <p>{k.affected}</p>
          <ul className="stack close" data-testid="affected">{of.affected.map((zap) => <li key={zap.zap_id}><Link to="/zaps/$id" params={{ id: zap.zap_id }} className="wrap-any">{zap.name}</Link> <span className="small">{k.steps(zap.steps.join(", "))}: {zap.operations.join(", ")}</span></li>)}</ul>
        </Note>
      )}
      {of.affected.length === 0 && changed.length + removed.length > 0 && <p className="small soft">{k.noneAffected}</p>}
    </>
  );
}
