/** Steps of a run that wait for people, or whose items are runs of their own. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { RunStatus, RunStep } from "../api/client";
import { approvalOfQuery, itemsQuery } from "../api/queries";
import { Failed, Note } from "../parts/controls";
import { More } from "../parts/More";
import { RUN_STATUSES, RunBadge } from "../parts/status";
import { took } from "../parts/time";
import { t } from "../texts";
import { Asked } from "./Asked";

export function ApprovalOf({ runId, stepId }: { runId: string; stepId: string }) {
  const approval = useQuery(approvalOfQuery(runId)).data?.find((one) => one.step_id === stepId);
  if (!approval) return null;
  return (
    <div className="stack tight" data-testid="asked">
      <p><strong className="wrap-any">{approval.title}</strong></p>
      {approval.message && <p className="wrap-any" style={{ whiteSpace: "pre-wrap" }}>{approval.message}</p>}
      <Asked required={approval.required} people={approval.recipients} />
      {approval.state === "open" && <p><Link to="/approvals">{t.approvals.decide}</Link></p>}
    </div>
  );
}

export function Items({ runId, stepId, loop, isActive }: { runId: string; stepId: string; loop: NonNullable<RunStep["loop"]>; isActive: boolean }) {
  const [status, setStatus] = useState<RunStatus>();
  const found = useInfiniteQuery(itemsQuery(runId, stepId, status, isActive));
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className="stack tight" aria-label={t.items.title} data-testid="items">
      <div className="row wrap between">
        <span className="small soft">{t.items.counts(loop.count, loop.succeeded ?? 0, loop.failed ?? 0)}</span>
        <select className="select" style={{ width: "auto" }} aria-label={t.common.status} value={status ?? ""} onChange={(event) => setStatus((event.target.value || undefined) as RunStatus | undefined)}>
          <option value="">{t.runs.anyStatus}</option>
          {RUN_STATUSES.map((one) => <option key={one} value={one}>{t.runStatus[one]}</option>)}
        </select>
      </div>
      {found.error && <Failed error={found.error} />}
      {found.data && items.length === 0 && <Note>{t.items.none}</Note>}
      {items.length > 0 && (
        <>
          <table className="table">
            <thead><tr><th className="fit">{t.items.item}</th><th className="fit">{t.common.status}</th><th>{t.items.result}</th><th className="fit end">{t.runs.took}</th></tr></thead>
            <tbody>
              {items.map((item) => (
                <tr key={item.id} data-testid="item-row">
                  <td className="fit number"><Link to="/runs/$id" params={{ id: item.id }}>{item.index}</Link></td>
                  <td className="fit"><RunBadge status={item.status} /></td>
                  <td className="full small clipped"><div className={`clip${item.error ? " wrong-text" : " mono"}`}>{item.error ? item.error.message : item.result === undefined || item.result === null ? "" : JSON.stringify(item.result)}</div></td>
                  <td className="fit end number soft">{took(item.duration_ms)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <More shown={items.length} query={found} />
        </>
      )}
    </section>
  );
}
