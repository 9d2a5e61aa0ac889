/** The draft beside past runs: what each of them would do now, without anything being sent. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { History } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { type BacktestResult, type Job, type Zap, api, data } from "../api/client";
import { backtestQuery, jobQuery, jobsQuery, queryClient } from "../api/queries";
import { Empty, Failed, Field, Loading, Note, Panel } from "../parts/controls";
import { Diff } from "../parts/Diff";
import { More } from "../parts/More";
import { RunBadge } from "../parts/status";
import { Ago } from "../parts/time";
import { JobLine } from "../run/Bulk";
import { t } from "../texts";

type Verdict = BacktestResult["verdict"];
const VERDICTS = ["different", "diverging", "same"] as const;
const TONES = { same: "good", different: "warn", diverging: "info" } as const;

export function Backtest({ zap }: { zap: Zap }) {
  const jobs = useInfiniteQuery(jobsQuery);
  const mine = (jobs.data?.pages.flatMap((page) => page.items) ?? []).filter((job) => job.kind === "backtest" && job.filter?.zap_id === zap.id);
  const [chosen, setChosen] = useState<string>();
  const shown = chosen ?? mine[0]?.id;
  return (
    <div className="stack">
      <Start zap={zap} done={setChosen} />
      {jobs.error && <Failed error={jobs.error} again={() => void jobs.refetch()} />}
      {mine.length > 1 && (
        <Field label={t.backtest.earlier}>
          {(id) => <select id={id} className="select narrow" value={shown ?? ""} onChange={(event) => setChosen(event.target.value)}>{mine.map((job) => <option key={job.id} value={job.id}>{t.backtest.of(new Date(job.requested_at).toLocaleString("en-GB"), job.total)}</option>)}</select>}
        </Field>
      )}
      {shown && <Found key={shown} id={shown} />}
      {!shown && jobs.data && <Panel><Empty icon={<History aria-hidden />} title={t.backtest.none}>{t.backtest.noneAbout}</Empty></Panel>}
    </div>
  );
}

function Start({ zap, done }: { zap: Zap; done: (id: string) => void }) {
  const [last, setLast] = useState("100");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const count = useQuery({
    queryKey: ["backtest", zap.id, last], enabled: Number(last) >= 1, retry: false,
    queryFn: () => data(api.POST("/api/v1/zaps/{zap_id}/backtest", { params: { path: { zap_id: zap.id } }, body: { last: Number(last), preview: true } }) as never) as Promise<{ count: number }>,
  });
  async function start(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const made = (await data(api.POST("/api/v1/zaps/{zap_id}/backtest", { params: { path: { zap_id: zap.id } }, body: { last: Number(last) } }) as never)) as Job;
      queryClient.setQueryData(jobQuery(made.id).queryKey, made);
      void queryClient.invalidateQueries({ queryKey: jobsQuery.queryKey });
      done(made.id);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  return (
    <Panel title={t.backtest.title}>
      <form className="stack tight" onSubmit={start}>
        <p className="soft">{t.backtest.about}</p>
        <div className="row wrap">
          <Field label={t.backtest.last}>{(id) => <input id={id} className="input" type="number" min={1} max={10_000} required value={last} onChange={(event) => setLast(event.target.value)} style={{ width: 120 }} data-testid="backtest-last" />}</Field>
          <button type="submit" className="button primary bottom" disabled={busy || count.data?.count === 0} data-testid="backtest-start">{t.backtest.start}</button>
          {count.data && <span className="small faint bottom" data-testid="backtest-count">{t.backtest.count(count.data.count)}</span>}
        </div>
        {(error ?? count.error) !== null && (error ?? count.error) !== undefined && <Failed error={error ?? count.error} />}
      </form>
    </Panel>
  );
}

function Found({ id }: { id: string }) {
  const [verdict, setVerdict] = useState<Verdict>();
  const job = useQuery(jobQuery(id));
  const isOver = ["completed", "aborted"].includes(job.data?.status ?? "");
  const results = useInfiniteQuery(backtestQuery(id, verdict, !isOver));
  const { refetch } = results;
  // What came between the last look and the end of the job.
  useEffect(() => {
    if (isOver) void refetch();
  }, [isOver, refetch]);
  const items = results.data?.pages.flatMap((page) => page.items) ?? [];
  const summary = results.data?.pages[0]?.summary;
  if (job.error) return <Failed error={job.error} />;
  if (!job.data) return <Loading />;
  return (
    <Panel title={t.backtest.results} actions={<span className="small faint"><Ago at={job.data.requested_at} /></span>}>
      <div className="stack" data-testid="backtest">
        <JobLine job={job.data} />
        {results.error && <Failed error={results.error} again={() => void results.refetch()} />}
        {summary && (
          <div className="row wrap" role="group" aria-label={t.backtest.show}>
            <Shown on={verdict === undefined} set={() => setVerdict(undefined)}>{t.backtest.all(summary.runs)}</Shown>
            {VERDICTS.map((one) => <Shown key={one} on={verdict === one} set={() => setVerdict(one)} testId={`verdict-${one}`}>{t.backtest.verdicts[one]} {summary[one].toLocaleString("en")}</Shown>)}
          </div>
        )}
        {isOver && summary && summary.runs > 0 && summary.same === summary.runs && <Note tone="good">{t.backtest.allSame}</Note>}
        {results.data && items.length === 0 && <p className="soft">{isOver ? t.backtest.nothing : t.backtest.soon}</p>}
        {items.length > 0 && (
          <>
            <ol className="stack tight">{items.map((item) => <Result key={item.run_id} item={item} />)}</ol>
            <More shown={items.length} query={results} />
          </>
        )}
      </div>
    </Panel>
  );
}

function Shown({ on, set, children, testId }: { on: boolean; set: () => void; children: React.ReactNode; testId?: string }) {
  return <button type="button" className="button small" aria-pressed={on} onClick={set} data-testid={testId}>{children}</button>;
}

function Result({ item }: { item: BacktestResult }) {
  const [isOpen, setOpen] = useState(false);
  const { then, now } = item;
  return (
    <li className="panel" data-testid="backtest-result">
      <div className="body stack tight">
        <div className="row wrap">
          <span className={`badge ${TONES[item.verdict]}`}>{t.backtest.verdicts[item.verdict]}</span>
          <Link className="mono small" to="/runs/$id" params={{ id: item.run_id }}>{item.run_id}</Link>
          <span className="row"><RunBadge status={then.status} /><span aria-hidden>→</span><span className="hidden">{t.backtest.becomes}</span><RunBadge status={now.status} /></span>
          {item.verdict !== "same" && <button type="button" className="button small push" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{isOpen ? t.versions.hide : t.backtest.details}</button>}
        </div>
        {now.error && now.error.message !== then.error?.message && <p className="small wrong-text wrap-any">{now.error.step_id && <><code>{now.error.step_id}</code>: </>}{now.error.message}</p>}
        {isOpen && (
          <>
            {item.diverging.length > 0 && <Note>{t.backtest.guess(item.diverging.join(", "))}</Note>}
            <Diff changes={item.diff.map((change) => ({ where: change.path, before: change.before, after: change.after }))} before={t.backtest.then} after={t.backtest.now} />
            {item.cut && <p className="small faint">{t.backtest.cut}</p>}
          </>
        )}
      </div>
    </li>
  );
}
