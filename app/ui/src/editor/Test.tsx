/** Tests the draft with a past run, a request or a pasted body; the steps in the tree show what came of it. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Radio, X } from "lucide-react";
import { useEffect, useState } from "react";
import { type DraftTest, type Zap, api, data } from "../api/client";
import { requestsQuery, runsQuery } from "../api/queries";
import { Copyable, Failed, Field, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { ago, useNow } from "../parts/time";
import { t } from "../texts";
import { w } from "./words";

type Effects = "stub" | "real";
/** Answers of steps by their ids, which a test takes instead of asking. */
export type Stubs = Readonly<Record<string, unknown>>;
const PASTED = "pasted";
const LISTEN = "listen";

/** The sample as one chooses it: a run, a request that started none, or a body. */
function useSamples(zap: Zap): { value: string; label: string }[] {
  const now = useNow();
  const runs = useInfiniteQuery(runsQuery({ zap_id: zap.id }, 20)).data?.pages[0]?.items ?? [];
  const requests = useInfiniteQuery({ ...requestsQuery(zap.id, undefined), enabled: zap.hook_url !== null }).data?.pages[0]?.items ?? [];
  return [
    ...runs.map((run) => ({ value: `run_id:${run.id}`, label: w.runAt(ago(run.started_at, now), t.runStatus[run.status] ?? run.status) })),
    ...requests.map((request) => ({ value: `request_id:${request.id}`, label: w.request(request.reason, ago(request.at, now)) })),
    { value: PASTED, label: w.pasted },
    ...(zap.hook_url ? [{ value: LISTEN, label: w.listen }] : []),
  ];
}

/** Waits for the next request: whatever comes to the hook from now on, as a run or not. */
function Listening({ zap, samples, heard }: { zap: Zap; samples: { value: string }[]; heard: (value: string) => void }) {
  const [known] = useState(() => new Set(samples.map((one) => one.value)));
  const fresh = samples.find((one) => !known.has(one.value))?.value;
  useEffect(() => {
    if (fresh) heard(fresh);
  }, [fresh, heard]);
  return (
    <div className="stack tight" role="status" data-testid="listening">
      <p className="row soft"><Radio aria-hidden size={15} />{zap.status === "enabled" ? w.listening : zap.status === "draft" ? w.listeningDraft : w.listeningPaused}</p>
      <Copyable text={zap.hook_url ?? ""} label={t.zap.hook} />
    </div>
  );
}

export function Test({ zap, steps, selected, stubs, dropStub, save, done, onClose }: {
  zap: Zap; steps: readonly string[]; selected: string; stubs: Stubs; dropStub: (id: string) => void; save: () => Promise<unknown>; done: (test: DraftTest) => void; onClose: () => void;
}) {
  const samples = useSamples(zap);
  const [chosen, setChosen] = useState<string>();
  const [body, setBody] = useState("{}");
  const [effects, setEffects] = useState<Effects>("stub");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [only, setOnly] = useState("");
  const value = chosen ?? samples[0]?.value ?? PASTED;
  async function run() {
    setBusy(true);
    setError(undefined);
    try {
      const [kind, id] = value.split(":") as [string, string];
      const sample = value === PASTED ? { payload: JSON.parse(body) } : { [kind]: id };
      if ((await save()) === undefined) throw new Error(w.notSaved);
      done(await data(api.POST("/api/v1/zaps/{zap_id}/test", { params: { path: { zap_id: zap.id } }, body: { sample, effects, stubs, ...(only ? { steps: [only] } : {}) } as never })));
      onClose();
    } catch (problem) {
      setError(problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={w.testTitle} onClose={onClose}>
      <div className="dialog-body">
        <Field label={w.sample}>
          {(id) => <select id={id} className="select" value={value} onChange={(event) => setChosen(event.target.value)} data-testid="test-sample">{samples.map((one) => <option key={one.value} value={one.value}>{one.label}</option>)}</select>}
        </Field>
        {value === PASTED && (
          <Field label={w.sampleBody} hint={w.sampleHint}>
            {(id, described) => <textarea id={id} aria-describedby={described} className="area code" rows={7} spellCheck={false} value={body} onChange={(event) => setBody(event.target.value)} data-testid="test-body" />}
          </Field>
        )}
        {value === LISTEN && <Listening zap={zap} samples={samples} heard={setChosen} />}
        <Field label={w.which} hint={only ? w.onlyAbout : undefined}>
          {(id, described) => (
            <select id={id} aria-describedby={described} className="select" value={only} onChange={(event) => setOnly(event.target.value)} data-testid="test-steps">
              <option value="">{w.allSteps}</option>
              {[...steps].sort((one, other) => Number(other === selected) - Number(one === selected)).map((one) => <option key={one} value={one}>{w.onlyStep(one)}</option>)}
            </select>
          )}
        </Field>
        <Field label={w.effects} hint={effects === "real" ? w.realAbout : undefined}>
          {(id, described) => (
            <select id={id} aria-describedby={described} className="select" value={effects} onChange={(event) => setEffects(event.target.value as Effects)} data-testid="test-effects">
              <option value="stub">{w.stub}</option><option value="real">{w.real}</option>
            </select>
          )}
        </Field>
        {Object.keys(stubs).length > 0 && (
          <div className="stack close" data-testid="stubs">
            <span className="label small">{w.stubs}</span>
            <ul className="row wrap">{Object.keys(stubs).map((id) => <li key={id} className="badge">{id}<button type="button" className="linkish" aria-label={w.dropStub(id)} onClick={() => dropStub(id)}><X aria-hidden /></button></li>)}</ul>
          </div>
        )}
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="button" className="button primary" disabled={busy || value === LISTEN} onClick={() => void run()} data-testid="run-test">{w.run}</button>
      </footer>
    </Dialog>
  );
}

export function Outcome({ test, clear }: { test: DraftTest; clear: () => void }) {
  const { status, error, reason, timed_out } = test.outcome;
  return (
    <Note tone={status === "completed" ? "good" : status === "failed" ? "bad" : "info"}>
      <span data-testid="test-outcome">{w.outcome} <strong>{t.runStatus[status as keyof typeof t.runStatus] ?? status}</strong></span> {error?.message ?? reason} {timed_out && w.timedOut}{" "}
      <button type="button" className="linkish" onClick={clear}>{w.clear}</button>
    </Note>
  );
}
