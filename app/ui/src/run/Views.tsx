/** Searches by a name, kept in this browser for whoever is signed in. */
import { Bookmark, BookmarkPlus, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useUser } from "../api/session";
import { Field } from "../parts/controls";
import { Dialog, Menu, MenuItem } from "../parts/overlays";
import { t } from "../texts";

type Search = Record<string, string | undefined>;
interface View { name: string; search: Search }
const MOST = 50;

function read(key: string): View[] {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]") as unknown;
    return Array.isArray(kept) ? (kept as View[]) : [];
  } catch {
    return [];
  }
}

export function Views({ search, open }: { search: Search; open: (search: Search) => void }) {
  const key = `triggerhub-views:${useUser()?.id}`;
  const [views, setViews] = useState(() => read(key));
  const [isEditing, setEditing] = useState(false);
  const keep = (next: View[]) => {
    setViews(next);
    localStorage.setItem(key, JSON.stringify(next));
  };
  const save = (name: string) => keep([...views.filter((view) => view.name !== name), { name, search }].slice(-MOST));
  return (
    <>
      <Menu label={t.views.title} trigger={<button type="button" className="button" data-testid="views"><Bookmark aria-hidden />{t.views.title}</button>}>
        {views.map((view) => <MenuItem key={view.name} icon={<Bookmark aria-hidden />} onSelect={() => open(view.search)} testId="view">{view.name}</MenuItem>)}
        {views.length > 0 && <hr />}
        <MenuItem icon={<BookmarkPlus aria-hidden />} onSelect={() => setEditing(true)} testId="view-edit">{t.views.edit}</MenuItem>
      </Menu>
      {isEditing && <Edit views={views} save={save} remove={(name) => keep(views.filter((view) => view.name !== name))} onClose={() => setEditing(false)} />}
    </>
  );
}

function Edit({ views, save, remove, onClose }: { views: View[]; save: (name: string) => void; remove: (name: string) => void; onClose: () => void }) {
  const [name, setName] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save(name.trim());
    onClose();
  };
  return (
    <Dialog title={t.views.edit} onClose={onClose}>
      <form onSubmit={submit}>
        <div className="dialog-body">
          <Field label={t.common.name} hint={t.views.about}>
            {(id, described) => <input id={id} aria-describedby={described} className="input" required maxLength={80} value={name} onChange={(event) => setName(event.target.value)} data-testid="view-name" />}
          </Field>
          <ul className="stack close">
            {views.map((view) => (
              <li key={view.name} className="row between">
                <span className="wrap-any">{view.name}</span>
                <button type="button" className="button quiet icon small" aria-label={t.views.remove(view.name)} onClick={() => remove(view.name)}><Trash2 aria-hidden /></button>
              </li>
            ))}
          </ul>
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>{t.common.close}</button>
          <button type="submit" className="button primary" disabled={!name.trim()} data-testid="view-save">{t.common.save}</button>
        </footer>
      </form>
    </Dialog>
  );
}
