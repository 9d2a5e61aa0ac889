/** A run as it was after each of its events. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Run, RunEvent } from "../api/client";
import { eventsQuery, runAtQuery, runDiffQuery } from "../api/queries";
import { Failed, Loading, Panel } from "../parts/controls";
import { Differences } from "../parts/Diff";
import { More } from "../parts/More";
import { RunBadge } from "../parts/status";
import { Moment } from "../parts/time";
import { t } from "../texts";
import type { Step } from "../zap/steps";
import { StepDetail, TriggerDetail } from "./Detail";
import { StepTree } from "./StepTree";

export function Past({ run, steps, all }: { run: Run; steps: readonly Step[] | undefined; all: readonly Step[] }) {
  const events = useInfiniteQuery(eventsQuery(run.id));
  const items = (events.data?.pages.flatMap((page) => page.items) ?? []).toSorted((one, other) => one.position - other.position);
  const [chosen, setChosen] = useState<number>();
  const [against, setAgainst] = useState<number>();
  const [selected, setSelected] = useState("trigger");
  const at = Math.min(chosen ?? 0, Math.max(0, items.length - 1));
  const event = items[at];
  const past = useQuery({ ...runAtQuery(run.id, event?.position ?? 0), enabled: event !== undefined, placeholderData: keepPreviousData });
  if (events.error) return <Failed error={events.error} again={() => void events.refetch()} />;
  if (!event) return <Loading />;
  return (
    <div className="stack" data-testid="past">
      <Panel>
        <div className="stack tight">
          <label className="stack close">
            <span className="label">{t.past.after(at + 1, items.length)}</span>
            <input type="range" min={0} max={items.length - 1} step={1} value={at} aria-valuetext={`${event.type}, ${event.recorded_at}`} onChange={(change) => setChosen(Number(change.target.value))} data-testid="past-slider" />
          </label>
          <div className="row wrap"><code>{event.type}</code><span className="small soft"><Moment at={event.recorded_at} /></span>{past.data && <RunBadge status={past.data.status} />}</div>
          <label className="row wrap">
            <span className="label">{t.past.against}</span>
            <select className="select" style={{ width: "auto", maxWidth: "100%" }} value={against ?? ""} onChange={(change) => setAgainst(change.target.value === "" ? undefined : Number(change.target.value))} data-testid="past-against">
              <option value="">{t.past.nothing}</option>
              {items.map((one, index) => index !== at && <option key={one.id} value={index}>{t.past.event(index + 1, one.type)}</option>)}
            </select>
          </label>
          {events.hasNextPage && <More shown={items.length} query={events} />}
        </div>
      </Panel>
      {past.error && <Failed error={past.error} />}
      {against !== undefined && against !== at && <Compared id={run.id} items={items} one={Math.min(against, at)} other={Math.max(against, at)} />}
      {past.data && (
        <div className="run-columns">
          <StepTree run={past.data} steps={steps} selected={selected} select={setSelected} />
          <div className="detail">
            {selected === "trigger" ? <TriggerDetail run={past.data} /> : <StepDetail key={selected} run={past.data} step={all.find((step) => step.id === selected)} found={past.data.steps.find((step) => step.id === selected)} />}
          </div>
        </div>
      )}
    </div>
  );
}

/** What happened to the run between two of its events. */
function Compared({ id, items, one, other }: { id: string; items: readonly RunEvent[]; one: number; other: number }) {
  const found = useQuery(runDiffQuery(id, items[one]?.position ?? 0, items[other]?.position ?? 0));
  return (
    <Panel title={t.past.changes(one + 1, other + 1)}>
      {found.error && <Failed error={found.error} />}
      {found.isPending && !found.error && <Loading />}
      {found.data && <Differences found={found.data} />}
    </Panel>
  );
}
