/** API keys: made, shown once, revoked. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { KeyRound, Plus, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { type ApiKey, api, data } from "../api/client";
import { keysQuery, queryClient } from "../api/queries";
import { Copyable, Empty, Failed, Field, Loading, Note, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Confirm, Dialog } from "../parts/overlays";
import { Ago } from "../parts/time";
import { t } from "../texts";

const SCOPES = ["read", "write", "keys"] as const;

export function Keys() {
  const keys = useInfiniteQuery(keysQuery);
  const [isNew, setNew] = useState(false);
  const [gone, setGone] = useState<ApiKey>();
  const items = keys.data?.pages.flatMap((page) => page.items) ?? [];
  const again = () => queryClient.invalidateQueries({ queryKey: ["keys"] });
  return (
    <Panel title={t.settings.keys} flush actions={<button type="button" className="button small" onClick={() => setNew(true)} data-testid="new-key"><Plus aria-hidden />{t.settings.newKey}</button>}>
      {keys.error && <Failed error={keys.error} again={() => void keys.refetch()} />}
      {keys.isPending && <Loading />}
      {keys.data && items.length === 0 && <Empty icon={<KeyRound aria-hidden />} title={t.settings.noKeys}>{t.settings.noKeysAbout}</Empty>}
      {items.length > 0 && (
        <>
          <table className="table">
            <thead><tr><th>{t.common.name}</th><th>{t.settings.key}</th><th>{t.settings.may}</th><th className="fit">{t.settings.made}</th><th className="fit"><span className="hidden">{t.common.actions}</span></th></tr></thead>
            <tbody>
              {items.map((key) => (
                <tr key={key.id} data-testid="key-row">
                  <td className="main wrap-any">{key.name}</td>
                  <td><code>{key.prefix}…</code></td>
                  <td className="soft">{key.scopes.map((scope) => t.scopes[scope].name).join(", ")}</td>
                  <td className="fit soft"><Ago at={key.created_at} /></td>
                  <td className="fit end"><button type="button" className="button quiet icon small" aria-label={t.settings.revoke(key.name)} title={t.settings.revoke(key.name)} onClick={() => setGone(key)}><Trash2 aria-hidden /></button></td>
                </tr>
              ))}
            </tbody>
          </table>
          <More shown={items.length} query={keys} />
        </>
      )}
      {isNew && <NewKey onClose={() => { setNew(false); void again(); }} />}
      {gone && (
        <Confirm title={t.settings.revoke(gone.name)} action={t.settings.revokeNow} danger onClose={() => setGone(undefined)}
          onConfirm={async () => { await data(api.DELETE("/api/v1/api-keys/{key_id}", { params: { path: { key_id: gone.id } } })); await again(); }}>
          <p>{t.settings.revokeAbout}</p>
        </Confirm>
      )}
    </Panel>
  );
}

function NewKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly (typeof SCOPES)[number][]>(["read", "write"]);
  const [made, setMade] = useState<string>();
  const [error, setError] = useState<unknown>();
  async function create(event: FormEvent) {
    event.preventDefault();
    try {
      setMade((await data(api.POST("/api/v1/api-keys", { body: { name, scopes: [...scopes] } }))).key);
    } catch (problem) {
      setError(problem);
    }
  }
  if (made) {
    return (
      <Dialog title={t.settings.keyMade} onClose={onClose}>
        <div className="dialog-body">
          <Note tone="warn">{t.settings.keyOnce}</Note>
          <Copyable text={made} label={t.settings.key} testId="new-key-text" />
        </div>
        <footer><button type="button" className="button primary" onClick={onClose}>{t.settings.keyKept}</button></footer>
      </Dialog>
    );
  }
  return (
    <Dialog title={t.settings.newKey} onClose={onClose}>
      <form onSubmit={create}>
        <div className="dialog-body">
          <Field label={t.common.name} hint={t.settings.nameHint}>
            {(id, described) => <input id={id} aria-describedby={described} className="input" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} data-testid="key-name" />}
          </Field>
          <fieldset style={{ border: 0, margin: 0, padding: 0 }} className="stack close">
            <legend className="small" style={{ fontWeight: 560, padding: 0 }}>{t.settings.may}</legend>
            {SCOPES.map((scope) => (
              <label key={scope} className="check">
                <input type="checkbox" checked={scopes.includes(scope)} onChange={(event) => setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((other) => other !== scope))} />
                <span>{t.scopes[scope].name} <span className="faint small">{t.scopes[scope].about}</span></span>
              </label>
            ))}
          </fieldset>
          {error !== undefined && <Failed error={error} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
          <button type="submit" className="button primary" disabled={scopes.length === 0} data-testid="create-key">{t.settings.createKey}</button>
        </footer>
      </form>
    </Dialog>
  );
}
