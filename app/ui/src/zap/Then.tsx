/** How the zap looked at a moment, beside how it is now. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, type Zap } from "../api/client";
import { zapAtQuery } from "../api/queries";
import { Failed, Field, Loading, Panel } from "../parts/controls";
import { Diff } from "../parts/Diff";
import { t } from "../texts";
import { type Written, differences } from "./diff";

export function Then({ zap }: { zap: Zap }) {
  const [local, setLocal] = useState("");
  const moment = local ? new Date(local) : undefined;
  const then = useQuery({ ...zapAtQuery(zap.id, moment?.toISOString() ?? ""), enabled: moment !== undefined, retry: false });
  const written = (of: Zap): Written => ({ name: of.name, ...(of.draft as Written) });
  const notYet = then.error instanceof ApiError && then.error.status === 404;
  return (
    <Panel title={t.then.title}>
      <div className="stack tight" data-testid="then">
        <Field label={t.then.at} hint={t.then.about}>
          {(id, described) => <input id={id} aria-describedby={described} className="input narrow" type="datetime-local" value={local} onChange={(event) => setLocal(event.target.value)} />}
        </Field>
        {moment && then.isPending && <Loading />}
        {notYet && <p className="soft">{t.then.none}</p>}
        {then.error && !notYet && <Failed error={then.error} />}
        {then.data && (
          <>
            <p className="small soft">{t.then.was(t.zapStatus[then.data.status], then.data.version)}</p>
            <Diff changes={differences(written(then.data), written(zap), t.diff.order)} before={t.backtest.then} after={t.backtest.now} />
          </>
        )}
      </div>
    </Panel>
  );
}
