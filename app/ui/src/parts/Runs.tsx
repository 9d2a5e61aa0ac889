/** Runs as rows, for the list and for a zap's page. */
import { Link, useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import type { RunSummary } from "../api/client";
import { useZapNames } from "../api/queries";
import { t } from "../texts";
import { RunBadge } from "./status";
import { Ago, took } from "./time";

/** Rows that came while the pointer is over the list wait, so that no row moves away from under it. */
function useHeld(runs: readonly RunSummary[]) {
  const [held, setHeld] = useState<ReadonlySet<string> | undefined>();
  const shown = held ? runs.filter((run) => held.has(run.id)) : runs;
  const waiting = runs.length - shown.length;
  return {
    shown, waiting,
    hold: () => setHeld(new Set(runs.map((run) => run.id))),
    release: () => setHeld(undefined),
  };
}

export function RunRows({ runs, withZap, paged }: { runs: readonly RunSummary[]; withZap: boolean; paged?: boolean }) {
  const { shown, waiting, hold, release } = useHeld(runs);
  const isOver = useRef(false);
  return (
    <div
      onPointerEnter={() => { isOver.current = true; if (!paged) hold(); }}
      onPointerLeave={() => { isOver.current = false; release(); }}
    >
      {waiting > 0 && !paged && (
        <button type="button" className="fresh" onClick={() => { release(); }}>{t.runs.fresh(waiting)}</button>
      )}
      <table className="table">
        <thead>
          <tr>
            <th className="fit">{t.common.status}</th><th>{withZap ? t.runs.zap : t.runs.run}</th>
            <th className="fit">{t.runs.source}</th><th className="fit">{t.runs.started}</th><th className="fit end">{t.runs.took}</th>
          </tr>
        </thead>
        <tbody>{(paged ? runs : shown).map((run) => <Row key={run.id} run={run} withZap={withZap} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ run, withZap }: { run: RunSummary; withZap: boolean }) {
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
        <div className="clip">
          <Link className={withZap ? "main" : "main mono"} to="/runs/$id" params={{ id: run.id }}>{name}</Link>
        </div>
        {run.error && (
          <div className={`small clip${run.status === "failed" || run.status === "timed_out" ? " wrong-text" : " soft"}`} title={run.error.message}>
            {run.error.step_id && <><code>{run.error.step_id}</code>: </>}{run.error.message}
          </div>
        )}
        {Object.keys(run.keys ?? {}).length > 0 && (
          <div className="small clip soft" data-testid="keys">{Object.entries(run.keys ?? {}).map(([name, value]) => <span key={name}><span className="faint">{name}</span> {String(value)}{"  "}</span>)}</div>
        )}
        {run.matches?.map((match) => (
          <div key={match.path} className="small clip soft" data-testid="match"><code>{match.path}</code> {match.text}</div>
        ))}
        {run.recovered_by && <div className="small soft">{t.runs.recovered}</div>}
      </td>
      <td className="fit soft">{t.sources[run.source] ?? run.source}</td>
      <td className="fit soft"><Ago at={run.started_at} /></td>
      <td className="fit end number soft">{took(run.duration_ms)}</td>
    </tr>
  );
}
