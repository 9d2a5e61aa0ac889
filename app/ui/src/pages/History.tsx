/** What leaves the log, and when: retention before it happens, archives, and the erasure of one person's data. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Archive as ArchiveIcon, Search, Trash2, Undo2, ShieldCheck } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { type Archive, type ErasurePreview, type Going, type Job, api, data } from "../api/client";
import { archivesQuery, jobQuery, queryClient, retentionQuery, useZapNames } from "../api/queries";
import { Verify } from "../history/Proof";
import { Empty, Failed, Field, Loading, Note, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Dialog } from "../parts/overlays";
import { Moment, size } from "../parts/time";
import { JobProgress } from "../run/Bulk";
import { t } from "../texts";

export function History() {
  return (
    <Page title={t.nav.history} about={t.history.about}>
      <div className="stack">
        <Plan />
        <Archives />
        <Erasure />
      </div>
    </Page>
  );
}

function Plan() {
  const plan = useQuery(retentionQuery);
  const [isAsking, setAsking] = useState(false);
  const items = plan.data?.items ?? [];
  const archives = plan.data?.archives ?? false;
  return (
    <>
      <Panel title={t.history.plan} flush={items.length > 0}>
        {plan.isPending && <Loading />}
        {plan.error && <Failed error={plan.error} again={() => void plan.refetch()} />}
        {plan.data && items.length === 0 && <Empty icon={<ArchiveIcon aria-hidden />} title={t.history.keepsAll} action={<Link className="button" to="/zaps">{t.nav.zaps}</Link>}>{t.history.keepsAllAbout}</Empty>}
        {items.length > 0 && (
          <>
            <div className="body row between wrap">
              <p className="soft">{archives ? t.history.toArchive : t.history.forGood}</p>
              {items.some((one) => one.is_due) && <button type="button" className="button" onClick={() => setAsking(true)} data-testid="retain">{archives ? t.history.archiveNow : t.history.dropNow}</button>}
            </div>
            <div className="table-wrap" tabIndex={0} role="region" aria-label={t.history.plan}>
              <table className="table">
                <thead><tr>{t.history.planColumns.map((name) => <th key={name}>{name}</th>)}</tr></thead>
                <tbody>{items.map((one) => <Goes key={`${one.what} ${one.zap_id} ${one.month} ${one.status}`} one={one} />)}</tbody>
              </table>
            </div>
          </>
        )}
      </Panel>
      {isAsking && <Apply archives={archives} onClose={() => setAsking(false)} />}
    </>
  );
}

/** What is due goes now, once that is said twice; what has gone is listed as soon as the job is done. */
function Apply({ archives, onClose }: { archives: boolean; onClose: () => void }) {
  const [job, setJob] = useState<string>();
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<unknown>();
  const { data: made } = useQuery({ ...jobQuery(job ?? ""), enabled: job !== undefined });
  const isOver = made?.status === "completed" || made?.status === "aborted";
  useEffect(() => {
    if (!isOver) return;
    const readAnew = () => [retentionQuery, archivesQuery].forEach(({ queryKey }) => void queryClient.invalidateQueries({ queryKey }));
    readAnew();
    setTimeout(readAnew, 2_000); // the lists follow the log within moments
  }, [isOver]);
  async function apply() {
    setSending(true);
    setError(undefined);
    try {
      setJob(((await data(api.POST("/api/v1/retention/apply"))) as Job).id);
    } catch (problem) {
      setError(problem);
    }
    setSending(false);
  }
  return (
    <Dialog title={archives ? t.history.archiveNow : t.history.dropNow} onClose={onClose}>
      <div className="dialog-body">
        {job ? <JobProgress id={job} /> : <Note tone={archives ? "info" : "warn"}>{archives ? t.history.archiveAbout : t.history.dropAbout}</Note>}
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{job ? t.common.close : t.common.cancel}</button>
        {!job && <button type="button" className="button danger" disabled={isSending} onClick={() => void apply()} data-testid="retain-now">{t.history.go}</button>}
      </footer>
    </Dialog>
  );
}

function Goes({ one }: { one: Going }) {
  const nameOf = useZapNames();
  return (
    <tr data-testid="going">
      <td>{nameOf(one.zap_id) ?? t.runs.deletedZap}</td>
      <td className="number">{one.month}</td>
      <td>{t.runStatus[one.status as keyof typeof t.runStatus] ?? one.status}</td>
      <td>{one.what === "runs" ? t.history.wholeRuns : t.history.payloadsOnly}</td>
      <td className="number">{t.history.count(one.runs)}</td>
      <td className="number">{size(one.bytes)}</td>
      <td>{one.is_due ? <strong>{t.history.withinTheHour}</strong> : <Moment at={one.goes_at} />}</td>
    </tr>
  );
}

function Archives() {
  const archives = useInfiniteQuery(archivesQuery);
  const items = archives.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel title={t.history.archives} flush={items.length > 0}>
      {archives.isPending && <Loading />}
      {archives.error && <Failed error={archives.error} again={() => void archives.refetch()} />}
      {archives.data && items.length === 0 && <Empty icon={<ArchiveIcon aria-hidden />} title={t.history.noArchives}>{t.history.noArchivesAbout}</Empty>}
      <ul className="list">{items.map((one) => <Left key={one.id} one={one} />)}</ul>
      {items.length > 0 && <More shown={items.length} query={archives} />}
    </Panel>
  );
}

/** What left the log at once, and what can be done with its file. */
function Left({ one }: { one: Archive }) {
  const [job, setJob] = useState<string>();
  const [error, setError] = useState<unknown>();
  const runs = one.zaps.reduce((sum, zap) => sum + Object.values(zap.runs).reduce((a, b) => a + b, 0), 0);
  async function ask(kind: "import" | "check") {
    const path = { params: { path: { name: one.name ?? "" } } };
    try {
      const made = await data(kind === "import" ? api.POST("/api/v1/archives/{name}/import", path) : api.POST("/api/v1/archives/{name}/check", path)) as Job;
      setError(undefined);
      setJob(made.id);
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <li className="body stack tight" data-testid="archive">
      <div className="row wrap">
        <strong className="number">{one.month}</strong>
        <span className="number">{t.history.runs(runs)}</span>
        {one.bytes !== null && <span className="small faint number">{size(one.bytes)}</span>}
        <span className={`badge ${one.away ? "" : "good"}`}>{one.away ? (one.name ? t.history.away : t.history.gone) : t.history.back}</span>
        <span className="small faint"><Moment at={one.dropped_at} /></span>
        {one.name && (
          <span className="row" style={{ marginLeft: "auto" }}>
            <button type="button" className="button small" onClick={() => void ask("check")}><ShieldCheck aria-hidden />{t.history.check}</button>
            {one.away && <button type="button" className="button small" onClick={() => void ask("import")}><Undo2 aria-hidden />{t.history.bringBack}</button>}
          </span>
        )}
      </div>
      <span className="small faint wrap-any">{one.name ?? t.history.noFile}</span>
      {error !== undefined && <Failed error={error} />}
      {job && <JobProgress id={job} />}
    </li>
  );
}

function Erasure() {
  const [subject, setSubject] = useState("");
  const [seen, setSeen] = useState<{ subject: string; preview: ErasurePreview }>();
  const [job, setJob] = useState<string>();
  const [error, setError] = useState<unknown>();
  async function look(event: FormEvent) {
    event.preventDefault();
    setJob(undefined);
    setSeen(undefined);
    try {
      const preview = await data(api.POST("/api/v1/erasures", { body: { subject, preview: true } })) as unknown as ErasurePreview;
      setError(undefined);
      setSeen({ subject, preview });
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <Panel title={t.history.erasure}>
      <div className="stack">
        <p className="soft">{t.history.erasureAbout}</p>
        <form className="row wrap" onSubmit={look} style={{ alignItems: "end" }}>
          <Field label={t.history.subject}>
            {(id) => <input id={id} className="input" required maxLength={500} autoComplete="off" value={subject} onChange={(event) => setSubject(event.target.value)} data-testid="subject" />}
          </Field>
          <button type="submit" className="button" data-testid="look"><Search aria-hidden />{t.history.look}</button>
        </form>
        {error !== undefined && <Failed error={error} />}
        {seen && !job && <Confirm seen={seen} onJob={setJob} />}
        {job && <Erased id={job} />}
      </div>
    </Panel>
  );
}

function Confirm({ seen, onJob }: { seen: { subject: string; preview: ErasurePreview }; onJob: (id: string) => void }) {
  const { subject, preview } = seen;
  const nameOf = useZapNames();
  const [typed, setTyped] = useState("");
  const [error, setError] = useState<unknown>();
  async function erase(event: FormEvent) {
    event.preventDefault();
    try {
      const made = await data(api.POST("/api/v1/erasures", { body: { subject } })) as unknown as Job;
      queryClient.setQueryData(jobQuery(made.id).queryKey, made);
      onJob(made.id);
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <form className="stack tight" onSubmit={erase}>
      <Note tone={preview.runs ? "info" : "plain"}>
        <strong data-testid="would-erase">{t.history.wouldErase(preview.runs, preview.more)}</strong> {preview.runs > 0 && t.history.inTheLog(size(preview.bytes))} {t.history.alsoArchives}
      </Note>
      {preview.oldest && preview.newest && <p className="small soft">{t.history.between} <Moment at={preview.oldest} /> – <Moment at={preview.newest} /></p>}
      <ul className="small">{preview.zaps.map((zap) => (
        <li key={zap.zap_id}>{nameOf(zap.zap_id) ?? t.runs.deletedZap}: {Object.entries(zap.runs).map(([status, count]) => `${t.history.count(count)} ${(t.runStatus[status as keyof typeof t.runStatus] ?? status).toLowerCase()}`).join(", ")}</li>
      ))}</ul>
      {preview.under_way > 0 && <Note tone="warn">{t.history.underWay(preview.under_way)}</Note>}
      <Field label={t.history.typeToConfirm(subject)} hint={t.history.cannotBeTakenBack}>
        {(id, described) => <input id={id} aria-describedby={described} className="input" autoComplete="off" value={typed} onChange={(event) => setTyped(event.target.value)} data-testid="confirm" />}
      </Field>
      {error !== undefined && <Failed error={error} />}
      <div><button type="submit" className="button danger" disabled={typed !== subject} data-testid="erase"><Trash2 aria-hidden />{t.history.erase}</button></div>
    </form>
  );
}

/** Its progress, and once it is done the proof that the record holds without what was erased. */
function Erased({ id }: { id: string }) {
  const { data: job } = useQuery(jobQuery(id));
  return (
    <div className="stack" data-testid="erasure">
      <JobProgress id={id} />
      {job?.status === "completed" && <Note tone={job.failed ? "warn" : "good"}>{job.failed ? t.history.someLeft : t.history.erased(job.done)}</Note>}
      {job?.status === "completed" && <Verify />}
    </div>
  );
}
