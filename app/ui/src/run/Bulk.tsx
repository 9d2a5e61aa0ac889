/** One command on all runs that a filter selects: counted first, then a job whose progress is shown. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { type Job, type RunSelection, api, data } from "../api/client";
import { jobQuery, queryClient } from "../api/queries";
import { Failed, Field, Loading, Note, said } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { JobBadge } from "../parts/status";
import { toast } from "../parts/toasts";
import { t } from "../texts";

export type BulkKind = "replay" | "cancel";
type Counted = { count: number; more: boolean };

function ask(kind: BulkKind, body: object): Promise<Job | Counted> {
  const call = kind === "replay" ? api.POST("/api/v1/runs/replay", { body: body as never }) : api.POST("/api/v1/runs/cancel", { body: body as never });
  return data(call as never);
}

export function Bulk({ kind, filter, onClose }: { kind: BulkKind; filter: RunSelection; onClose: () => void }) {
  const [job, setJob] = useState<string>();
  return (
    <Dialog title={kind === "replay" ? t.bulk.replayTitle : t.bulk.cancelTitle} onClose={onClose}>
      {job ? (
        <>
          <div className="dialog-body"><JobProgress id={job} /></div>
          <footer>
            <Link className="button" to="/jobs">{t.bulk.allJobs}</Link>
            <button type="button" className="button primary" onClick={onClose}>{t.common.close}</button>
          </footer>
        </>
      ) : (
        <Ask kind={kind} filter={filter} onClose={onClose} onJob={setJob} />
      )}
    </Dialog>
  );
}

function Ask({ kind, filter, onClose, onJob }: { kind: BulkKind; filter: RunSelection; onClose: () => void; onJob: (id: string) => void }) {
  const [rate, setRate] = useState(kind === "replay" ? "50" : "1000");
  const [version, setVersion] = useState<"original" | "latest">("original");
  const [again, setAgain] = useState(false);
  const [error, setError] = useState<unknown>();
  const selection = again ? { ...filter, include_recovered: true } : filter;
  const preview = useQuery({
    queryKey: ["bulk", kind, selection], staleTime: 0, retry: false,
    queryFn: () => ask(kind, { filter: selection, preview: true }) as Promise<Counted>,
  });
  async function start(event: FormEvent) {
    event.preventDefault();
    try {
      const made = (await ask(kind, { filter: selection, rate_per_s: Number(rate), ...(kind === "replay" ? { version } : {}) })) as Job;
      queryClient.setQueryData(jobQuery(made.id).queryKey, made);
      onJob(made.id);
    } catch (problem) {
      setError(problem);
    }
  }
  const count = preview.data?.count ?? 0;
  return (
    <form onSubmit={start}>
      <div className="dialog-body">
        {preview.isPending && <Loading />}
        {preview.error && <Failed error={preview.error} />}
        {preview.data && (
          <Note tone={count ? "info" : "plain"}>
            <strong data-testid="bulk-count">{preview.data.more ? t.bulk.atLeast(count) : t.bulk.exactly(count)}</strong>{" "}
            {kind === "replay" ? t.bulk.replayAbout : t.bulk.cancelAbout}
          </Note>
        )}
        {kind === "replay" && (
          <>
            <Field label={t.replay.version}>
              {(id) => (
                <select id={id} className="select" value={version} onChange={(event) => setVersion(event.target.value as "original")}>
                  <option value="original">{t.replay.original}</option>
                  <option value="latest">{t.replay.latest}</option>
                </select>
              )}
            </Field>
            <label className="check">
              <input type="checkbox" checked={again} onChange={(event) => setAgain(event.target.checked)} />
              <span>{t.bulk.includeRecovered}</span>
            </label>
          </>
        )}
        <Field label={t.bulk.rate} hint={kind === "replay" ? t.bulk.rateHint : undefined}>
          {(id, described) => <input id={id} aria-describedby={described} className="input" type="number" min={1} max={1000} required value={rate} onChange={(event) => setRate(event.target.value)} />}
        </Field>
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="submit" className="button primary" disabled={count === 0} data-testid="bulk-start">
          {kind === "replay" ? t.bulk.replay(count) : t.bulk.cancel(count)}
        </button>
      </footer>
    </form>
  );
}

export function JobProgress({ id }: { id: string }) {
  const { data: job, error } = useQuery(jobQuery(id));
  if (error) return <Failed error={error} />;
  return job ? <JobLine job={job} /> : <Loading />;
}

/** How far a job is, and what can be done about it. */
export function JobLine({ job }: { job: Job }) {
  const dealt = job.done + job.skipped + job.failed;
  const share = (count: number) => ({ width: `${job.total ? (count / job.total) * 100 : 0}%` });
  return (
    <div className="stack tight">
      <div className="row wrap">
        <JobBadge status={job.status} />
        <span className="number" data-testid="job-progress">{t.jobs.progress(dealt, job.total)}</span>
        <span className="small faint number">{t.jobs.counts(job.done, job.skipped, job.failed)}</span>
        <span className="row" style={{ marginLeft: "auto" }}><JobButtons job={job} /></span>
      </div>
      <div className="progress" role="progressbar" aria-label={t.jobs.progressOf} aria-valuemin={0} aria-valuemax={job.total} aria-valuenow={Math.min(dealt, job.total)}>
        <span className="done" style={share(job.done)} />
        <span className="skipped" style={share(job.skipped)} />
        <span className="failed" style={share(job.failed)} />
      </div>
      {job.problem && <p className="small soft wrap-any">{job.problem}</p>}
    </div>
  );
}

function JobButtons({ job }: { job: Job }) {
  const send = async (verb: "pause" | "resume" | "abort") => {
    const path = { params: { path: { job_id: job.id } } };
    try {
      const call = verb === "pause" ? api.POST("/api/v1/jobs/{job_id}/pause", path)
        : verb === "resume" ? api.POST("/api/v1/jobs/{job_id}/resume", path)
        : api.POST("/api/v1/jobs/{job_id}/abort", path);
      queryClient.setQueryData(jobQuery(job.id).queryKey, await data(call));
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
    } catch (error) {
      toast(said(error));
    }
  };
  const button = (verb: "pause" | "resume" | "abort") => (
    <button type="button" className="button small" onClick={() => void send(verb)}>{t.jobs.verbs[verb]}</button>
  );
  return (
    <>
      {job.status === "running" && button("pause")}
      {(job.status === "paused" || job.status === "aborted") && button("resume")}
      {(job.status === "running" || job.status === "paused") && button("abort")}
    </>
  );
}
