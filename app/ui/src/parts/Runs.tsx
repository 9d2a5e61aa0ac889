/** Runs as rows, for the list and for a zap's page. */
import { Link, useNavigate } from "@tanstack/react-router";
import { Pause, Play } from "lucide-react";
import { useState } from "react";
import type { RunSummary } from "../api/client";
import { useZapNames } from "../api/queries";
import { t } from "../texts";
import { Sorted, type Sorting } from "./Sorted";
import { RunBadge } from "./status";
import { Ago, took } from "./time";

/** Rows that come while the list is paused, or while the pointer is over it, wait: no row moves away from where it is read. */
function useHeld(runs: readonly RunSummary[]) {
  const [held, setHeld] = useState<ReadonlySet<string> | undefined>();
  const [isPaused, setPaused] = useState(false);
  const shown = held ? runs.filter((run) => held.has(run.id)) : runs;
  const show = () => setHeld(undefined);
  const hold = () => setHeld((old) => old ?? new Set(runs.map((run) => run.id)));
  return {
    shown, isPaused, waiting: runs.length - shown.length, hold,
    /** What waits is shown, and what comes next waits again while the list is paused. */
    showWaiting: () => (isPaused ? setHeld(new Set(runs.map((run) => run.id))) : show()),
    leave: () => { if (!isPaused) show(); },
    pause: () => { setPaused(true); hold(); },
    goOn: () => { setPaused(false); show(); },
  };
}

export function RunRows({ runs, withZap, paged, columns = [], sorting }: { runs: readonly RunSummary[]; withZap: boolean; paged?: boolean; columns?: string[]; sorting?: Sorting }) {
  const { shown, isPaused, waiting, hold, showWaiting, leave, pause, goOn } = useHeld(runs);
  return (
    <div onPointerEnter={() => { if (!paged) hold(); }} onPointerLeave={leave}>
      {!paged && (
        <div className="row between live">
          {waiting > 0 ? <button type="button" className="linkish" onClick={showWaiting} data-testid="fresh">{t.runs.fresh(waiting)}</button> : <span className="small faint">{isPaused ? t.runs.isPaused : t.runs.isLive}</span>}
          <button type="button" className="button quiet small" aria-pressed={isPaused} onClick={isPaused ? goOn : pause} data-testid="pause-list">
            {isPaused ? <Play aria-hidden /> : <Pause aria-hidden />}{isPaused ? t.runs.goOn : t.runs.pause}
          </button>
        </div>
      )}
      <table className="table">
        <thead>
          <tr>
            <th className="fit">{t.common.status}</th><th>{withZap ? t.runs.zap : t.runs.run}</th>
            {columns.map((name) => <Sorted key={name} name={`keys.${name}`} label={name} sorting={sorting} className="fit" />)}
            <th className="fit">{t.runs.source}</th>
            <Sorted name="started_at" label={t.runs.started} sorting={sorting} className="fit" />
            <Sorted name="duration_ms" label={t.runs.took} sorting={sorting} className="fit end" />
          </tr>
        </thead>
        <tbody>{(paged ? runs : shown).map((run) => <Row key={run.id} run={run} withZap={withZap} columns={columns} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ run, withZap, columns }: { run: RunSummary; withZap: boolean; columns: string[] }) {
  const navigate = useNavigate();
  const nameOf = useZapNames();
  const name = withZap ? (nameOf(run.zap_id) ?? t.runs.deletedZap) : run.id;
  return (
    <tr data-testid="run-row" style={{ cursor: "pointer" }}
      onClick={(event) => {
        if (event.target instanceof Element && event.target.closest("a, button")) return;
        if (!getSelection()?.isCollapsed) return;
        void navigate({ to: "/runs/$id", params: { id: run.id } });
      }}>
      <td className="fit"><RunBadge status={run.status} /></td>
      <td className="full clipped">
        <Link className={withZap ? "main clip" : "main clip mono"} to="/runs/$id" params={{ id: run.id }}>{name}</Link>
        {run.error && (
          <div className={`small clip${run.status === "failed" || run.status === "timed_out" ? " wrong-text" : " soft"}`} title={run.error.message}>
            {run.error.step_id && <><code>{run.error.step_id}</code>: </>}{run.error.message}
          </div>
        )}
        {columns.length === 0 && Object.keys(run.keys ?? {}).length > 0 && (
          <div className="small clip soft" data-testid="keys">{Object.entries(run.keys ?? {}).map(([name, value]) => <span key={name}><span className="faint">{name}</span> {String(value)}{"  "}</span>)}</div>
        )}
        {run.matches?.map((match) => (
          <div key={match.path} className="small clip soft" data-testid="match"><code>{match.path}</code> {match.text}</div>
        ))}
        {run.recovered_by && <div className="small soft">{t.runs.recovered}</div>}
      </td>
      {columns.map((name) => <td key={name} className="fit" data-testid="key">{String(run.keys?.[name] ?? "–")}</td>)}
      <td className="fit soft">{t.sources[run.source] ?? run.source}</td>
      <td className="fit soft"><Ago at={run.started_at} /></td>
      <td className="fit end number soft">{took(run.duration_ms)}</td>
    </tr>
  );
}
