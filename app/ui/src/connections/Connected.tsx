/** Which credential goes along with a step or trigger; a new one can be made on the spot. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { connectionsQuery } from "../api/queries";
import { Field } from "../parts/controls";
import { ConnectionForm } from "./Form";
import type { Kind } from "./kinds";
import { c } from "./words";

export function Connected({ kinds, required, service, value, set, wrong }: {
  kinds: readonly Kind[]; required: boolean; service?: string | undefined; value: string | undefined; set: (id: string | undefined) => void; wrong: string | undefined;
}) {
  const all = useInfiniteQuery(connectionsQuery).data?.pages.flatMap((page) => page.items) ?? [];
  const [isNew, setNew] = useState(false);
  const fitting = all.filter((one) => kinds.includes(one.kind));
  const isLost = all.find((one) => one.id === value)?.status === "needs_reconnect";
  return (
    <div data-field="connection" className="stack close">
      <Field label={c.choose} wrong={wrong ?? (isLost ? c.needsConsent : undefined)}>
        {(id, described) => (
          <select id={id} aria-describedby={described} className="select" value={value ?? ""} data-testid="connection" onChange={(event) => set(event.target.value || undefined)}>
            <option value="">{required ? c.chooseOne : c.without}</option>
            {fitting.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}
            {value && !fitting.some((one) => one.id === value) && <option value={value}>{value}</option>}
          </select>
        )}
      </Field>
      <div><button type="button" className="button small" onClick={() => setNew(true)} data-testid="new-connection"><Plus aria-hidden />{c.create}</button></div>
      {isNew && <ConnectionForm kinds={kinds} {...(service && service !== "http" ? { service } : {})} onClose={() => setNew(false)} done={(made) => { setNew(false); set(made.id); }} />}
    </div>
  );
}
