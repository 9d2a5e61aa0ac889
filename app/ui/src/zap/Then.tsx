/** A zap after each of its changes: who made it, how the zap looked then, and what differs from another moment. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, type AuditEntry, type Zap } from "../api/client";
import { zapAtQuery, zapDiffQuery, zapHistoryQuery } from "../api/queries";
import { Failed, Field, Loading, Panel } from "../parts/controls";
import { Differences } from "../parts/Diff";
import { More } from "../parts/More";
import { ZapBadge } from "../parts/status";
import { Moment } from "../parts/time";
import { t } from "../texts";
import { Outline } from "./Outline";
import type { Step } from "./steps";

export function Then({ zap }: { zap: Zap }) {
  const history = useInfiniteQuery(zapHistoryQuery(zap.id, zap.position));
  const entries = (history.data?.pages.flatMap((page) => page.items) ?? []).toReversed();
  const [chosen, setChosen] = useState<number>();
  const [against, setAgainst] = useState<number>();
  if (history.error) return <Failed error={history.error} again={() => void history.refetch()} />;
  if (history.isPending) return <Loading />;
  const found = entries.findIndex((entry) => entry.position === chosen);
  const at = found >= 0 ? found : entries.length - 1;
  const entry = entries[at];
  if (!entry) return <Panel><p className="soft">{t.then.empty}</p></Panel>;
  const choose = (index: number) => setChosen(entries[index]?.position);
  return (
    <div className="stack" data-testid="then">
      <Panel>
        <div className="stack tight">
          <label className="stack close">
            <span className="label">{t.then.change(at + 1, entries.length)}</span>
            <input type="range" min={0} max={entries.length - 1} step={1} value={at} aria-valuetext={`${entry.summary}, ${entry.at}`} onChange={(event) => choose(Number(event.target.value))} data-testid="then-slider" />
          </label>
          <p className="wrap-any"><strong data-testid="then-summary">{entry.summary}</strong> <span className="small soft"><Moment at={entry.at} /></span></p>
          <div className="filters">
            <Jump entries={entries} choose={choose} />
            <Field label={t.then.against}>
              {(id) => (
                <select id={id} className="select" value={against ?? ""} onChange={(event) => setAgainst(Number(event.target.value) || undefined)} data-testid="then-against">
                  <option value="">{t.then.now}</option>
                  {entries.map((other, index) => other !== entry && <option key={other.position} value={other.position}>{`${index + 1}: ${other.summary}`}</option>)}
                </select>
              )}
            </Field>
          </div>
          {history.hasNextPage && <More shown={entries.length} query={history} />}
        </div>
      </Panel>
      <Shown zap={zap} entry={entry} against={against ?? Math.max(zap.position, entries.at(-1)?.position ?? 0)} />
    </div>
  );
}

/** The last change up to a moment. */
function Jump({ entries, choose }: { entries: readonly AuditEntry[]; choose: (index: number) => void }) {
  const [local, setLocal] = useState("");
  const jump = (typed: string) => {
    setLocal(typed);
    const moment = Date.parse(typed);
    if (!Number.isNaN(moment)) choose(Math.max(0, entries.findLastIndex((entry) => Date.parse(entry.at) <= moment)));
  };
  return (
    <Field label={t.then.jump} hint={t.then.jumpAbout}>
      {(id, described) => <input id={id} aria-describedby={described} className="input" type="datetime-local" step={1} value={local} onChange={(event) => jump(event.target.value)} />}
    </Field>
  );
}

function Shown({ zap, entry, against }: { zap: Zap; entry: AuditEntry; against: number }) {
  const then = useQuery({ ...zapAtQuery(zap.id, entry.position), placeholderData: keepPreviousData, retry: false });
  const [from, to] = [Math.min(entry.position, against), Math.max(entry.position, against)];
  const changes = useQuery({ ...zapDiffQuery(zap.id, from, to), placeholderData: keepPreviousData, retry: false });
  const notYet = then.error instanceof ApiError && then.error.status === 404;
  return (
    <div className="charts">
      <Panel title={t.then.was} actions={then.data && <ZapBadge status={then.data.status} />}>
        {notYet && <p className="soft">{t.then.none}</p>}
        {then.error && !notYet && <Failed error={then.error} />}
        {then.data && (
          <div className="stack tight">
            <p className="wrap-any"><strong>{then.data.name}</strong> <span className="soft">{then.data.version > 0 ? t.run.version(then.data.version) : t.zap.never}</span></p>
            <Outline steps={(then.data.draft.steps ?? []) as Step[]} />
          </div>
        )}
      </Panel>
      <Panel title={t.then.compared}>
        {changes.error && <Failed error={changes.error} />}
        {changes.data && <Differences found={changes.data} />}
      </Panel>
    </div>
  );
}
