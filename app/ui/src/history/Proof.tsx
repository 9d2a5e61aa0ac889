/** That the record is as it was written: the chain recomputed part by part, and signed states of the log to keep elsewhere. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Download, ShieldCheck } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { ApiError, type Verification, api, data } from "../api/client";
import { position } from "../api/live";
import { checkpointsQuery } from "../api/queries";
import { root } from "../api/session";
import { Empty, Failed, Loading, Note, Panel, said } from "../parts/controls";
import { save } from "../parts/files";
import { More } from "../parts/More";
import { Moment, took } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";

/** Events of one call: some seconds on a slow machine. */
const PART = 200_000;
const AGAIN = 10;
const AGAIN_MS = 2_000;

export function Proof() {
  return (
    <div className="stack">
      <Verify />
      <Checkpoints />
    </div>
  );
}

interface Progress { events: number; reached: number; ms: number; broken?: Verification["first_problem"]; done: boolean }

/** The button, and what it finds. */
export function Verify() {
  const [progress, setProgress] = useState<Progress>();
  const [error, setError] = useState<unknown>();
  const stop = useRef<AbortController>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const isBusy = progress !== undefined && !progress.done;
  async function verify() {
    stop.current = new AbortController();
    const { signal } = stop.current;
    setError(undefined);
    try {
      for await (const step of parts(signal)) setProgress(step);
    } catch (problem) {
      setProgress(undefined);
      if (!signal.aborted) setError(problem);
    }
  }
  const end = Math.max(position().min_position ?? 0, progress?.reached ?? 0);
  return (
    <Panel title={t.audit.verifyTitle} actions={isBusy ? <button type="button" className="button small" onClick={() => stop.current?.abort()}>{t.common.cancel}</button> : <button type="button" className="button small" onClick={() => void verify()} data-testid="verify"><ShieldCheck aria-hidden />{t.audit.verify}</button>}>
      <div className="stack tight">
        <p className="soft">{t.audit.verifyAbout}</p>
        {isBusy && <><progress className="grow" max={end || 1} value={progress.reached} aria-label={t.audit.verifying} /><p className="small soft number" role="status">{t.audit.verified(progress.events)}</p></>}
        {progress?.done && !progress.broken && <Note tone="good"><span data-testid="verified">{t.audit.holds(progress.events)}</span> <span className="small">{t.audit.upTo(progress.reached, took(progress.ms))}</span></Note>}
        {progress?.broken && <Note tone="bad"><span data-testid="verified">{t.audit.broken(`${progress.broken.position}, ${progress.broken.reason}`)}</span></Note>}
        {error !== undefined && <Failed error={error} again={() => void verify()} />}
      </div>
    </Panel>
  );
}

/** The chain from its beginning, a part at a time, each from where the one before has ended. */
async function* parts(signal: AbortSignal): AsyncGenerator<Progress> {
  let [events, reached, ms] = [0, 0, 0];
  for (let done = false; !done; ) {
    yield { events, reached, ms, done };
    const to = reached + PART;
    const found = await part(reached + 1, to, signal);
    if (!found) break;
    [events, reached, ms] = [events + found.events, Math.max(reached, found.head.position), ms + found.duration_ms];
    if (!found.holds) return yield { events, reached, ms, broken: found.first_problem, done: true };
    done = reached < to;
  }
  yield { events, reached, ms, done: true };
}

/** Undefined: the log ends before. Where others are verifying, it is this one's turn a little later. */
async function part(from: number, to: number, signal: AbortSignal): Promise<Verification | undefined> {
  for (let again = 0; ; again++) {
    try {
      return await data(api.GET("/api/v1/audit/verify", { params: { query: { from, to } }, signal }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 422 && from > 1) return undefined;
      if (!(error instanceof ApiError && error.status === 503 && again < AGAIN)) throw error;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

function Checkpoints() {
  const checkpoints = useInfiniteQuery(checkpointsQuery);
  const items = checkpoints.data?.pages.flatMap((page) => page.items) ?? [];
  const newest = items[0];
  async function grown(from: number, to: number) {
    try {
      const proof = await data(api.GET("/api/v1/audit/consistency", { params: { query: { from, to } } }));
      save(`consistency-${from}-${to}.json`, new Blob([JSON.stringify(proof, null, 2)], { type: "application/json" }));
    } catch (error) {
      toast(said(error));
    }
  }
  return (
    <Panel title={t.audit.checkpoints} flush actions={<a className="button small" href={`${root}/docs/assets/verify_proof.py`} download><Download aria-hidden />{t.audit.checker}</a>}>
      <p className="soft inset">{t.audit.checkpointsAbout}</p>
      {checkpoints.error && <Failed error={checkpoints.error} again={() => void checkpoints.refetch()} />}
      {checkpoints.isPending && !checkpoints.error && <Loading />}
      {checkpoints.data && !newest && <Empty icon={<ShieldCheck aria-hidden />} title={t.audit.noCheckpoints}>{t.audit.noCheckpointsAbout}</Empty>}
      {newest && (
        <>
          <table className="table">
            <thead><tr><th className="fit">{t.audit.signed}</th><th>{t.audit.size}</th><th className="fit">{t.common.actions}</th></tr></thead>
            <tbody>
              {items.map((one) => (
                <tr key={one.id} data-testid="checkpoint">
                  <td className="fit soft"><Moment at={one.signed_at} /></td>
                  <td className="number">{one.size.toLocaleString("en")}</td>
                  <td className="fit">
                    <span className="row">
                      <button type="button" className="button small" onClick={() => save(`checkpoint-${one.size}.txt`, new Blob([one.note], { type: "text/plain" }))} data-testid="checkpoint-save">{t.audit.saveIt}</button>
                      {one.size < newest.size && <button type="button" className="button small" onClick={() => void grown(one.size, newest.size)}>{t.audit.grown}</button>}
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <p className="small soft inset">{t.audit.keyIs} <code className="wrap-any">{newest.key}</code></p>
          <More shown={items.length} query={checkpoints} />
        </>
      )}
    </Panel>
  );
}
