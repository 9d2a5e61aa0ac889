/** Variables: values that templates of all zaps name. Secret ones can be replaced, and never read. */
import { useQuery } from "@tanstack/react-query";
import { Check, History, Lock, Pencil, Plus, Trash2, Variable as VariableIcon, Workflow } from "lucide-react";
import { type FormEvent, useState } from "react";
import { type Variable, api, data } from "../api/client";
import { queryClient, variableHistoryQuery, variablesQuery, variableUsesQuery } from "../api/queries";
import { Uses, UsesDialog } from "../connections/Uses";
import { c } from "../connections/words";
import { CopyButton, Empty, Failed, Field, Loading, Page, Panel } from "../parts/controls";
import { Confirm, Dialog, Menu, MenuItem } from "../parts/overlays";
import { Ago } from "../parts/time";
import { t } from "../texts";

type Scalar = NonNullable<Variable["value"]>;
type Type = keyof typeof c.vars.types;
const changed = () => queryClient.invalidateQueries({ queryKey: variablesQuery.queryKey });
const template = (name: string) => `{{ vars.${name} }}`;

export function Variables() {
  const found = useQuery(variablesQuery);
  const [isNew, setNew] = useState(false);
  const create = <button type="button" className="button primary" onClick={() => setNew(true)} data-testid="new-variable"><Plus aria-hidden />{c.vars.create}</button>;
  return (
    <Page title={t.nav.variables} about={c.vars.about} actions={found.data?.length ? create : undefined}>
      {found.error && <Failed error={found.error} again={() => void found.refetch()} />}
      {found.isPending && !found.error && <Loading />}
      {found.data?.length === 0 && <Panel><Empty icon={<VariableIcon aria-hidden />} title={c.vars.none} action={create}>{c.vars.noneAbout}</Empty></Panel>}
      {found.data && found.data.length > 0 && (
        <Panel flush>
          <table className="table">
            <thead><tr><th>{t.common.name}</th><th>{c.vars.value}</th><th className="fit">{c.vars.changed}</th><th className="fit"><span className="hidden">{t.common.actions}</span></th></tr></thead>
            <tbody>{found.data.map((one) => <Row key={one.name} one={one} />)}</tbody>
          </table>
        </Panel>
      )}
      {isNew && <VariableForm onClose={() => setNew(false)} />}
    </Page>
  );
}

function Row({ one }: { one: Variable }) {
  const [wish, setWish] = useState<"change" | "delete" | "history" | "uses">();
  const shut = () => setWish(undefined);
  return (
    <tr data-testid="variable-row">
      <td><div className="row" style={{ gap: 2 }}><code className="wrap-any">{one.name}</code><CopyButton text={template(one.name)} label={t.common.copyOf(template(one.name))} /></div></td>
      <td className="full clipped"><div className="clip">{one.secret ? <span className="badge"><Lock aria-hidden />{c.vars.hidden}</span> : <code>{typeof one.value === "string" ? one.value : JSON.stringify(one.value)}</code>}</div></td>
      <td className="fit soft"><Ago at={one.changed_at} /></td>
      <td className="fit end corner">
        <Menu label={c.actionsOf(one.name)}>
          <MenuItem icon={<Pencil aria-hidden />} onSelect={() => setWish("change")} testId="change-variable">{c.changeIt}</MenuItem>
          <MenuItem icon={<Workflow aria-hidden />} onSelect={() => setWish("uses")} testId="variable-uses">{c.usedBy}</MenuItem>
          <MenuItem icon={<History aria-hidden />} onSelect={() => setWish("history")} testId="variable-history">{c.vars.history}</MenuItem>
          <MenuItem icon={<Trash2 aria-hidden />} danger onSelect={() => setWish("delete")} testId="delete-variable">{c.remove}</MenuItem>
        </Menu>
        {wish === "change" && <VariableForm of={one} onClose={shut} />}
        {wish === "history" && <Past name={one.name} onClose={shut} />}
        {wish === "uses" && <UsesDialog name={one.name} query={variableUsesQuery(one.name)} onClose={shut} />}
        {wish === "delete" && (
          <Confirm title={c.vars.removeTitle(one.name)} action={c.remove} danger onClose={shut} onConfirm={async () => {
            await data(api.DELETE("/api/v1/variables/{name}", { params: { path: { name: one.name } } }));
            await changed();
          }}>
            <Uses query={variableUsesQuery(one.name)} before={c.vars.removeAbout} />
          </Confirm>
        )}
      </td>
    </tr>
  );
}

/** Who has set it and when, as the audit has it; values are not repeated there. */
function Past({ name, onClose }: { name: string; onClose: () => void }) {
  const { data: entries, error } = useQuery(variableHistoryQuery(name));
  return (
    <Dialog title={c.vars.historyOf(name)} onClose={onClose}>
      <div className="dialog-body">
        {error && <Failed error={error} />}
        {!entries && !error && <Loading />}
        {entries?.length === 0 && <p className="soft">{c.vars.noHistory}</p>}
        <ul className="stack tight" data-testid="history">
          {entries?.map((entry) => <li key={entry.position} className="row between"><span className="wrap-any">{entry.actor.name} {entry.summary}</span><span className="soft small"><Ago at={entry.at} /></span></li>)}
        </ul>
      </div>
      <footer><button type="button" className="button primary" onClick={onClose}>{t.common.close}</button></footer>
    </Dialog>
  );
}

const typeOf = (value: unknown): Type => (typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : "string");
const meant = (type: Type, text: string): Scalar => (type === "number" ? Number(text) : type === "boolean" ? text === "true" : text);

function VariableForm({ of, onClose }: { of?: Variable; onClose: () => void }) {
  const [name, setName] = useState(of?.name ?? "");
  const [isSecret, setSecret] = useState(of?.secret ?? false);
  const [type, setType] = useState<Type>(typeOf(of?.value));
  const [text, setText] = useState(of && !of.secret ? String(of.value ?? "") : "");
  const [error, setError] = useState<unknown>();
  async function save(event: FormEvent) {
    event.preventDefault();
    setError(undefined);
    try {
      await data(api.PUT("/api/v1/variables/{name}", { params: { path: { name } }, body: { value: meant(isSecret ? "string" : type, text), secret: isSecret } }));
      await changed();
      onClose();
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={of ? c.vars.change(of.name) : c.vars.create} onClose={onClose}>
      <form onSubmit={save}>
        <div className="dialog-body" data-testid="variable-form">
          {!of && <Field label={t.common.name} hint={c.vars.nameHint}>{(id, described) => <input id={id} aria-describedby={described} className="input mono" required autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} data-testid="variable-name" />}</Field>}
          <label className="check"><input type="checkbox" checked={isSecret} onChange={(event) => { setSecret(event.target.checked); setText(""); }} data-testid="variable-secret" /><span>{c.vars.secret} <span className="faint small">{c.vars.secretAbout}</span></span></label>
          {!isSecret && <Field label={c.vars.type}>{(id) => <select id={id} className="select" value={type} onChange={(event) => { setType(event.target.value as Type); setText(event.target.value === "boolean" ? "true" : ""); }}>{Object.entries(c.vars.types).map(([one, words]) => <option key={one} value={one}>{words}</option>)}</select>}</Field>}
          <Field label={c.vars.value} hint={of?.secret && isSecret ? c.vars.kept : undefined}>
            {(id, described) => <Value id={id} described={described} type={isSecret ? "secret" : type} text={text} set={setText} />}
          </Field>
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" data-testid="save-variable"><Check aria-hidden />{t.common.save}</button>
        </footer>
      </form>
    </Dialog>
  );
}

function Value({ id, described, type, text, set }: { id: string; described: string; type: Type | "secret"; text: string; set: (text: string) => void }) {
  const shared = { id, "aria-describedby": described, value: text, "data-testid": "variable-value" };
  if (type === "boolean") return <select {...shared} className="select" onChange={(event) => set(event.target.value)}><option value="true">{c.vars.yes}</option><option value="false">{c.vars.no}</option></select>;
  if (type === "secret") return <input {...shared} className="input mono" type="password" autoComplete="new-password" required onChange={(event) => set(event.target.value)} />;
  if (type === "number") return <input {...shared} className="input mono" inputMode="decimal" required pattern="-?[0-9]+(\.[0-9]+)?([eE][+\-]?[0-9]+)?" onChange={(event) => set(event.target.value)} />;
  return <textarea {...shared} className="area code" rows={3} spellCheck={false} onChange={(event) => set(event.target.value)} />;
}
