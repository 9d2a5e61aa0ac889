/** The run's events as recorded. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { eventsQuery } from "../api/queries";
import { Failed, Loading, Panel } from "../parts/controls";
import { Json } from "../parts/Json";
import { More } from "../parts/More";
import { Moment } from "../parts/time";
import { t } from "../texts";

export function Events({ id }: { id: string }) {
  const events = useInfiniteQuery(eventsQuery(id));
  const [open, setOpen] = useState<string>();
  const items = events.data?.pages.flatMap((page) => page.items) ?? [];
  if (events.error) return <Failed error={events.error} again={() => void events.refetch()} />;
  if (events.isPending) return <Loading />;
  return (
    <Panel flush>
      <table className="table">
        <thead><tr><th className="fit">{t.events.position}</th><th>{t.events.type}</th><th className="fit">{t.events.at}</th></tr></thead>
        <tbody>
          {items.map((event) => (
            <tr key={event.id}>
              <td className="fit mono faint">{event.position}</td>
              <td className="full">
                <button type="button" className="linkish mono" aria-expanded={open === event.id} onClick={() => setOpen(open === event.id ? undefined : event.id)}>{event.type}</button>
                {open === event.id && (
                  <div className="stack tight" style={{ marginTop: 6 }}>
                    <Json value={event.data} title={t.events.data} path="data" />
                    <Json value={event.meta} title={t.events.meta} path="meta" />
                  </div>
                )}
              </td>
              <td className="fit soft"><Moment at={event.recorded_at} /></td>
            </tr>
          ))}
        </tbody>
      </table>
      <More shown={items.length} query={events} />
    </Panel>
  );
}
