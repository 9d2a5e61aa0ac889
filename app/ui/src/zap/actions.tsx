/** What can be done with a zap, from the list and from its page. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Copy, Download, Pause, Play, Send, SquarePlay, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { type Zap, type ZapSummary, api, data, whole } from "../api/client";
import { queryClient, zapChanged, zapQuery, zapsQuery } from "../api/queries";
import { Failed, Field, said } from "../parts/controls";
import { Confirm, Dialog, MenuItem } from "../parts/overlays";
import { save } from "../parts/files";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { Publish } from "./Publish";
import type { Written } from "./diff";

type Wish = "pause" | "delete" | "run" | "publish";

async function change(id: string, verb: "enable" | "pause"): Promise<void> {
  const path = { params: { path: { zap_id: id } } };
  const call = verb === "enable" ? api.POST("/api/v1/zaps/{zap_id}/enable", path)
    : api.POST("/api/v1/zaps/{zap_id}/pause", path);
  const { data: zap, response } = await whole<Zap>(call as never);
  zapChanged(zap, response.headers.get("etag"));
  toast(t.zap.done[verb](zap.name));
}

/** A zap's definition as POST /zaps takes it. */
export function exported(zap: Zap): string {
  const { steps, ...others } = zap.draft;
  return JSON.stringify({ name: zap.name, ...others, steps: steps ?? [] }, null, 2);
}

export async function createZap(body: unknown): Promise<Zap> {
  const { data: zap, response } = await whole<Zap>(api.POST("/api/v1/zaps", { body: body as never }) as never);
  zapChanged(zap, response.headers.get("etag"));
  return zap;
}

export function useZapActions(zap: Pick<ZapSummary, "id" | "name" | "status" | "version">): {
  items: ReactNode; dialogs: ReactNode; publish: () => void; toggle: () => void;
} {
  const navigate = useNavigate();
  const [wish, setWish] = useState<Wish>();
  const shut = () => setWish(undefined);
  const attempt = (work: () => Promise<unknown>) => void work().catch((error) => toast(said(error)));
  const load = async () => (await queryClient.fetchQuery(zapQuery(zap.id))).zap;
  const duplicate = async () => {
    const made = await createZap({ ...JSON.parse(exported(await load())), name: t.zap.copyOf(zap.name) });
    await navigate({ to: "/zaps/$id", params: { id: made.id } });
    toast(t.zap.duplicated);
  };
  const remove = async () => {
    await data(api.DELETE("/api/v1/zaps/{zap_id}", { params: { path: { zap_id: zap.id } } }));
    queryClient.setQueryData(zapsQuery.queryKey, (old) => old?.filter((other) => other.id !== zap.id));
    await navigate({ to: "/zaps" });
    toast(t.zap.deleted(zap.name));
  };
  const items = (
    <>
      {zap.status === "enabled" && <MenuItem icon={<SquarePlay aria-hidden />} onSelect={() => setWish("run")} testId="run-now">{t.zap.run}</MenuItem>}
      {zap.status === "enabled" && <MenuItem icon={<Pause aria-hidden />} onSelect={() => setWish("pause")} testId="pause">{t.zap.pause}</MenuItem>}
      {zap.status === "paused" && <MenuItem icon={<Play aria-hidden />} onSelect={() => attempt(() => change(zap.id, "enable"))} testId="enable">{t.zap.enable}</MenuItem>}
      {zap.status === "draft" && <MenuItem icon={<Send aria-hidden />} onSelect={() => setWish("publish")}>{t.zap.publish}</MenuItem>}
      <MenuItem icon={<Copy aria-hidden />} onSelect={() => attempt(duplicate)} testId="duplicate">{t.zap.duplicate}</MenuItem>
      <MenuItem icon={<Download aria-hidden />} onSelect={() => attempt(async () => save(`${zap.name.replace(/[^\w-]+/g, "-").toLowerCase() || "zap"}.json`, new Blob([exported(await load())], { type: "application/json" })))}>{t.zap.export}</MenuItem>
      <hr />
      <MenuItem icon={<Trash2 aria-hidden />} danger onSelect={() => setWish("delete")} testId="delete">{t.zap.delete}</MenuItem>
    </>
  );
  const dialogs = (
    <>
      {wish === "pause" && (
        <Confirm title={t.zap.pauseTitle(zap.name)} action={t.zap.pause} onClose={shut} onConfirm={() => change(zap.id, "pause")}>
          <p>{t.zap.pauseAbout}</p>
        </Confirm>
      )}
      {wish === "delete" && (
        <Confirm title={t.zap.deleteTitle(zap.name)} action={t.zap.delete} danger onClose={shut} onConfirm={remove}>
          <p>{t.zap.deleteAbout}</p>
        </Confirm>
      )}
      {wish === "publish" && <PublishSaved id={zap.id} onClose={shut} />}
      {wish === "run" && <RunByHand id={zap.id} name={zap.name} onClose={shut} />}
    </>
  );
  return {
    items, dialogs,
    publish: () => setWish("publish"),
    toggle: () => (zap.status === "enabled" ? setWish("pause") : attempt(() => change(zap.id, "enable"))),
  };
}

/** Publishes the draft as the server has it. */
function PublishSaved({ id, onClose }: { id: string; onClose: () => void }) {
  const found = useQuery(zapQuery(id)).data;
  if (!found) return null;
  const draft = { name: found.zap.name, ...(found.zap.draft as Written) };
  return <Publish zap={found.zap} draft={draft} save={async () => found.etag} onClose={onClose} />;
}

function RunByHand({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const navigate = useNavigate();
  const [text, setText] = useState("{}");
  const [error, setError] = useState<unknown>();
  async function start() {
    setError(undefined);
    try {
      const payload = JSON.parse(text) as never;
      const started = await data(api.POST("/api/v1/zaps/{zap_id}/run", { params: { path: { zap_id: id } }, body: { payload } }));
      onClose();
      await navigate({ to: "/runs/$id", params: { id: started.run_id } });
    } catch (problem) {
      setError(problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem);
    }
  }
  return (
    <Dialog title={t.zap.runTitle(name)} onClose={onClose}>
      <div className="dialog-body">
        <Field label={t.zap.payload} hint={t.zap.payloadHint}>
          {(field, described) => (
            <textarea id={field} aria-describedby={described} className="area code" rows={10} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />
          )}
        </Field>
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="button" className="button primary" onClick={() => void start()}>{t.zap.run}</button>
      </footer>
    </Dialog>
  );
}
