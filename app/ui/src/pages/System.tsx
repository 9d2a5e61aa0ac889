/** Whether this TriggerHub works, where it is, and what there is to read about it. */
import { useQuery } from "@tanstack/react-query";
import { Check, X } from "lucide-react";
import { root } from "../api/session";
import { Copyable, Failed, Page, Panel } from "../parts/controls";
import { t } from "../texts";

interface Health { status: string; failing?: string[] }

/** Health speaks with its status code, too. */
async function ask(path: string): Promise<Health> {
  return (await fetch(root + path)).json() as Promise<Health>;
}

export function System() {
  const alive = useQuery({ queryKey: ["healthz"], queryFn: () => ask("/healthz"), refetchInterval: 5_000, retry: false });
  const ready = useQuery({ queryKey: ["readyz"], queryFn: () => ask("/readyz"), refetchInterval: 5_000, retry: false });
  return (
    <Page title={t.nav.system} about={t.system.about}>
      <div className="stack">
        <Panel title={t.system.state}>
          <dl className="facts">
            <dt>{t.system.api}</dt>
            <dd><State isGood={alive.data?.status === "ok"} words={alive.data ? t.system.answers : t.system.silent} /></dd>
            <dt>{t.system.requests}</dt>
            <dd><State isGood={ready.data?.status === "ok"} words={ready.data?.status === "ok" ? t.system.takes : t.system.refuses((ready.data?.failing ?? []).join(", "))} /></dd>
          </dl>
          {alive.error && <Failed error={alive.error} />}
        </Panel>
        <Panel title={t.system.addresses}>
          <dl className="facts">
            <dt>{t.system.ui}</dt><dd><Copyable text={root} label={t.system.ui} /></dd>
            <dt>{t.system.api}</dt><dd><Copyable text={`${root}/api/v1`} label={t.system.api} /></dd>
            <dt>{t.system.ready}</dt><dd><Copyable text={`${root}/readyz`} label={t.system.ready} /></dd>
          </dl>
        </Panel>
        <Panel title={t.system.read}>
          <ul className="stack close">
            {([["/docs/guide", t.system.guide], ["/docs", t.system.docs], ["/docs/reference", t.system.reference], ["/docs/guide/operating", t.system.operating], ["/licenses.txt", t.system.licences]] as const).map(([path, name]) => (
              <li key={path}><a href={root + path}>{name}</a></li>
            ))}
          </ul>
        </Panel>
      </div>
    </Page>
  );
}

function State({ isGood, words }: { isGood: boolean; words: string }) {
  return <span className={`badge ${isGood ? "good" : "bad"}`}>{isGood ? <Check aria-hidden /> : <X aria-hidden />}{words}</span>;
}
