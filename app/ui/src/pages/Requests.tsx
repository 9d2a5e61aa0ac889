/** Requests that started no run, why, and what can be done about it. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Ban, Check, DoorOpen, Trash2 } from "lucide-react";
import { useState } from "react";
import { type HookRequest, type Job, api, data } from "../api/client";
import { queryClient, requestsQuery, zapsQuery } from "../api/queries";
import { CodeBlock, Empty, Failed, Loading, Page, Panel, said } from "../parts/controls";
import { More } from "../parts/More";
import { Confirm, Dialog } from "../parts/overlays";
import { Ago, size } from "../parts/time";
import { toast } from "../parts/toasts";
import { JobProgress } from "../run/Bulk";
import { t } from "../texts";

type Reason = HookRequest["reason"];

export function Requests() {
  const search = useSearch({ strict: false }) as { zap_id?: string; reason?: Reason };
  const navigate = useNavigate();
  const zaps = useQuery(zapsQuery);
  const hooks = zaps.data?.filter((zap) => zap.trigger_type.startsWith("webhook")) ?? [];
  const zapId = search.zap_id ?? hooks[0]?.id;
  const set = (change: object) => void navigate({ to: "/requests", search: { ...search, zap_id: zapId, ...change }, replace: true });
  return (
    <Page title={t.nav.requests} about={t.requests.about}>
      {zaps.error && <Failed error={zaps.error} again={() => void zaps.refetch()} />}
      {zaps.isPending && <Loading />}
      {zaps.data && hooks.length === 0 && (
        <Panel><Empty icon={<Ban aria-hidden />} title={t.requests.noHooks} action={<Link className="button" to="/zaps">{t.nav.zaps}</Link>}>{t.requests.noHooksAbout}</Empty></Panel>
      )}
      {zapId && hooks.length > 0 && (
        <>
          <div className="filters">
            <select className="select" aria-label={t.runs.zap} value={zapId} onChange={(event) => set({ zap_id: event.target.value })}>
              {hooks.map((zap) => <option key={zap.id} value={zap.id}>{zap.name}</option>)}
            </select>
            <select className="select" aria-label={t.requests.reason} value={search.reason ?? ""} onChange={(event) => set({ reason: event.target.value })}>
              <option value="">{t.requests.anyReason}</option>
              {Object.entries(t.reasons).map(([reason, words]) => <option key={reason} value={reason}>{words.name}</option>)}
            </select>
            {search.reason === "held" && <Held zapId={zapId} />}
          </div>
          <List zapId={zapId} reason={search.reason} />
        </>
      )}
    </Page>
  );
}

function List({ zapId, reason }: { zapId: string; reason: Reason | undefined }) {
  const requests = useInfiniteQuery(requestsQuery(zapId, reason));
  const items = requests.data?.pages.flatMap((page) => page.items) ?? [];
  if (requests.error) return <Failed error={requests.error} again={() => void requests.refetch()} />;
  if (requests.isPending) return <Loading />;
  if (items.length === 0) return <Panel><Empty icon={<Check aria-hidden />} title={reason ? t.requests.noneSuch : t.requests.none}>{reason ? t.requests.noneSuchAbout : t.requests.noneAbout}</Empty></Panel>;
  return (
    <>
      <div className="stack" style={{ gap: 10 }}>{items.map((item) => <Request key={item.id} item={item} zapId={zapId} />)}</div>
      <More shown={items.length} query={requests} />
    </>
  );
}

function Request({ item, zapId }: { item: HookRequest; zapId: string }) {
  const words = t.reasons[item.reason];
  const repeats = Object.entries(item.repeats);
  async function admit() {
    try {
      const path = { zap_id: zapId, request_id: item.id };
      const admitted = await data(api.POST("/api/v1/zaps/{zap_id}/requests/{request_id}/admit", { params: { path } }));
      toast(t.requests.admitted);
      queryClient.setQueriesData<{ pages: { items: HookRequest[] }[] }>({ queryKey: ["requests", zapId] }, (old) => old && {
        ...old,
        pages: old.pages.map((page) => ({ ...page, items: page.items.map((one) => (one.id === item.id ? { ...one, run_id: admitted.run_id, admissible: false } : one)) })),
      });
    } catch (error) {
      toast(said(error));
    }
  }
  return (
    <section className="panel" data-testid="request" aria-label={words?.name ?? item.reason}>
      <div className="body stack tight">
        <div className="row wrap">
          <span className="badge warn">{words?.name ?? item.reason}</span>
          {item.count > 1 && <span className="badge number">{t.requests.times(item.count)}</span>}
          {item.method && <code>{item.method} {item.path || "/"}</code>}
          {item.status !== null && <span className="small soft">{t.requests.answered(item.status)}</span>}
          {item.size > 0 && <span className="small faint">{item.content_type} · {size(item.size)}</span>}
          <span className="small faint" style={{ marginLeft: "auto" }}><Ago at={item.until ?? item.at} /></span>
        </div>
        <p className="wrap-any">{item.detail || words?.about}</p>
        {item.excerpt && <CodeBlock text={item.excerpt} label={t.requests.excerpt} />}
        <div className="row wrap small">
          {item.admissible && !item.run_id && !item.discarded && (
            <button type="button" className="button small" onClick={() => void admit()} data-testid="admit"><DoorOpen aria-hidden />{t.requests.admit}</button>
          )}
          {item.run_id && <Link to="/runs/$id" params={{ id: item.run_id }}>{t.requests.itsRun}</Link>}
          {item.discarded && <span className="faint">{t.requests.discarded}</span>}
          {repeats.slice(0, 5).map(([run, count]) => <Link key={run} to="/runs/$id" params={{ id: run }}>{t.requests.repeatOf(count)}</Link>)}
        </div>
      </div>
    </section>
  );
}

/** All that a paused zap holds, at once. */
function Held({ zapId }: { zapId: string }) {
  const [wish, setWish] = useState<"release" | "discard">();
  const [job, setJob] = useState<string>();
  async function send() {
    const path = { params: { path: { zap_id: zapId } } };
    const call = wish === "release" ? api.POST("/api/v1/zaps/{zap_id}/held/release", path) : api.POST("/api/v1/zaps/{zap_id}/held/discard", path);
    setJob(((await data(call as never)) as Job).id);
  }
  return (
    <>
      <button type="button" className="button" onClick={() => setWish("release")}><DoorOpen aria-hidden />{t.requests.release}</button>
      <button type="button" className="button danger" onClick={() => setWish("discard")}><Trash2 aria-hidden />{t.requests.discard}</button>
      {wish && (
        <Confirm title={wish === "release" ? t.requests.releaseTitle : t.requests.discardTitle} danger={wish === "discard"}
          action={wish === "release" ? t.requests.release : t.requests.discard} onClose={() => setWish(undefined)} onConfirm={send}>
          <p>{wish === "release" ? t.requests.releaseAbout : t.requests.discardAbout}</p>
        </Confirm>
      )}
      {job && (
        <Dialog title={t.jobs.one} onClose={() => setJob(undefined)}>
          <div className="dialog-body"><JobProgress id={job} /></div>
        </Dialog>
      )}
    </>
  );
}
