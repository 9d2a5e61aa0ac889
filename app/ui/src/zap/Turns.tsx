/** What a zap's own clock did and will do: its next times, and what came of the last ones. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Zap } from "../api/client";
import { ticksQuery } from "../api/queries";
import { Failed, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Ago, Moment } from "../parts/time";
import { t } from "../texts";

/** These wait until somebody starts them; all others have times of their own. */
const WAITING = /^(webhook\.|manual$|zap\.)/;
const TONES = { fired: "good", missed: "warn", failed: "bad", empty: "" } as const;

export function Turns({ zap }: { zap: Zap }) {
  const triggers = zap.draft.trigger ? [zap.draft.trigger] : (zap.draft.triggers ?? []);
  const isTimed = triggers.some((trigger) => !WAITING.test(trigger.type));
  const ticks = useInfiniteQuery({ ...ticksQuery(zap.id), enabled: isTimed });
  const items = ticks.data?.pages.flatMap((page) => page.items) ?? [];
  if (!isTimed) return null;
  return (
    <Panel title={t.turns.title}>
      <div className="stack tight" data-testid="turns">
        {zap.next_runs.length > 0 && <p className="small">{t.turns.next} {zap.next_runs.slice(0, 3).map((one) => <span key={one.due_at} className="badge"><Moment at={one.due_at} /></span>)}</p>}
        {ticks.error && <Failed error={ticks.error} />}
        {ticks.data && items.length === 0 && <p className="small faint">{t.turns.none}</p>}
        <ul className="stack close">
          {items.map((tick) => (
            <li key={tick.id} className="row wrap small">
              <span className={`badge ${TONES[tick.status]}`}>{t.turns.statuses[tick.status]}</span>
              <Ago at={tick.fired_at ?? tick.due_at} />
              {tick.count > 1 && <span className="faint">{tick.count}×</span>}
              {tick.run_ids[0] && <Link to="/runs/$id" params={{ id: tick.run_ids[0] }}>{t.turns.runs(tick.run_ids.length)}</Link>}
              {tick.detail && <span className="soft wrap-any">{tick.detail}</span>}
            </li>
          ))}
        </ul>
        {items.length > 0 && <More shown={items.length} query={ticks} />}
      </div>
    </Panel>
  );
}
