/** Failed runs by cause. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Check, Inbox as InboxIcon, List, NotebookPen, RotateCcw } from "lucide-react";
import { useState } from "react";
import { type DeadLetterGroup, api, data } from "../api/client";
import { lettersQuery, queryClient, useZapNames } from "../api/queries";
import { Empty, Failed, Field, Loading, Page, Panel, said } from "../parts/controls";
import { More } from "../parts/More";
import { Dialog } from "../parts/overlays";
import { Ago } from "../parts/time";
import { toast } from "../parts/toasts";
import { Bulk } from "../run/Bulk";
import { t } from "../texts";

type State = "open" | "resolved" | "all";

export function Inbox() {
  const search = useSearch({ strict: false }) as { state?: State; zap_id?: string };
  const navigate = useNavigate();
  const state = search.state ?? "open";
  const letters = useInfiniteQuery(lettersQuery(state, search.zap_id));
  const groups = letters.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page title={t.nav.inbox} about={t.inbox.about} actions={
      <select className="select" style={{ width: "auto" }} aria-label={t.common.status} value={state}
        onChange={(event) => void navigate({ to: "/inbox", search: { ...search, state: event.target.value }, replace: true })}>
        {(["open", "resolved", "all"] as const).map((each) => <option key={each} value={each}>{t.inbox.states[each]}</option>)}
      </select>
    }>
      {letters.error && <Failed error={letters.error} again={() => void letters.refetch()} />}
      {letters.isPending && !letters.error && <Loading />}
      {letters.data && groups.length === 0 && (
        <Panel><Empty icon={<InboxIcon aria-hidden />} title={state === "open" ? t.inbox.none : t.inbox.noneOfState}>{state === "open" ? t.inbox.noneAbout : undefined}</Empty></Panel>
      )}
      <div className="stack" style={{ gap: 10 }}>{groups.map((group) => <Group key={group.id} group={group} />)}</div>
      {groups.length > 0 && <More shown={groups.length} query={letters} />}
    </Page>
  );
}

function Group({ group }: { group: DeadLetterGroup }) {
  const nameOf = useZapNames();
  const [wish, setWish] = useState<"replay" | "note">();
  const open = group.count - group.resolved;
  async function resolve() {
    try {
      await data(api.POST("/api/v1/dead-letters/{group_id}/resolve", { params: { path: { group_id: group.id } }, body: { count: group.count } }));
      toast(t.inbox.resolved);
      // The list follows the log within moments.
      setTimeout(() => queryClient.invalidateQueries({ queryKey: ["letters"] }), 500);
    } catch (error) {
      toast(said(error));
    }
  }
  return (
    <section className="panel" data-testid="dead-letter" aria-label={group.message}>
      <div className="body stack tight">
        <div className="row wrap">
          <span className="badge bad number">{group.state === "open" ? open : group.count}×</span>
          <Link to="/zaps/$id" params={{ id: group.zap_id }} style={{ fontWeight: 600 }} className="wrap-any">{nameOf(group.zap_id) ?? t.runs.deletedZap}</Link>
          {group.step_id && <span className="soft">{t.inbox.at} <code>{group.step_id}</code></span>}
          <code className="badge">{group.code}</code>
          {group.state === "resolved" && <span className="badge good"><Check aria-hidden />{t.inbox.states.resolved}</span>}
          <span className="small faint" style={{ marginLeft: "auto" }}>{t.inbox.last} <Ago at={group.last_at} /> · {t.inbox.first} <Ago at={group.first_at} /></span>
        </div>
        <p className="wrap-any" data-testid="cause">{group.message}</p>
        {group.note && <p className="small soft wrap-any"><NotebookPen size={13} aria-hidden style={{ verticalAlign: -2 }} /> {group.note}</p>}
        <div className="row wrap">
          <button type="button" className="button small" onClick={() => setWish("replay")} data-testid="replay-group"><RotateCcw aria-hidden />{t.inbox.replay}</button>
          {group.state === "open" && <button type="button" className="button small" onClick={() => void resolve()} data-testid="resolve"><Check aria-hidden />{t.inbox.resolve}</button>}
          <button type="button" className="button small" onClick={() => setWish("note")}><NotebookPen aria-hidden />{group.note ? t.inbox.editNote : t.inbox.addNote}</button>
          <Link className="button small quiet" to="/runs" search={group.filter as never}><List aria-hidden />{t.inbox.runs}</Link>
          <Link className="button small quiet" to="/runs/$id" params={{ id: group.run_id }}>{t.inbox.lastRun}</Link>
          {group.recovered > 0 && <span className="small faint">{t.inbox.recovered(group.recovered)}</span>}
        </div>
      </div>
      {wish === "replay" && <Bulk kind="replay" filter={group.filter} onClose={() => setWish(undefined)} />}
      {wish === "note" && <NoteDialog group={group} onClose={() => setWish(undefined)} />}
    </section>
  );
}

function NoteDialog({ group, onClose }: { group: DeadLetterGroup; onClose: () => void }) {
  const [note, setNote] = useState(group.note);
  const [error, setError] = useState<unknown>();
  async function save() {
    try {
      await data(api.PUT("/api/v1/dead-letters/{group_id}/note", { params: { path: { group_id: group.id } }, body: { note } }));
      setTimeout(() => queryClient.invalidateQueries({ queryKey: ["letters"] }), 500);
      onClose();
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Dialog title={t.inbox.noteTitle} onClose={onClose}>
      <div className="dialog-body">
        <Field label={t.inbox.note} hint={t.inbox.noteHint}>
          {(id, described) => <textarea id={id} aria-describedby={described} className="area" rows={4} value={note} onChange={(event) => setNote(event.target.value)} />}
        </Field>
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="button" className="button primary" onClick={() => void save()}>{t.common.save}</button>
      </footer>
    </Dialog>
  );
}
