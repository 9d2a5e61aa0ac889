/** The draft that is being edited: its history, and how it gets to the server. Only a 2xx makes it "saved". */
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, type BrokenRule, type Zap, api, whole } from "../api/client";
import { queryClient, zapChanged, zapQuery } from "../api/queries";
import { type Draft, draftOf, same } from "./draft";
import { drop, keep, kept } from "./kept";

export type Saving = "saved" | "changed" | "saving" | "wrong" | "unreachable" | "conflict";
interface History { past: Draft[]; now: Draft; future: Draft[]; key: string; at: number }

const QUIET_MS = 700;
const AGAIN_MS = 4_000;
const MAX_UNDO = 200;
const TOGETHER_MS = 1_500;

export interface Editing {
  draft: Draft; saving: Saving; rules: BrokenRule[]; error: unknown; isRestored: boolean; canUndo: boolean; canRedo: boolean;
  /** Changes with the same key in quick succession are undone together. */
  change: (next: Draft, key?: string) => void;
  undo: () => void; redo: () => void; discard: () => void;
  /** Saves what is not saved yet; the ETag that the server has for it, or undefined where it does not take it. */
  flush: () => Promise<string | null | undefined>;
  /** The draft has been published as it is: what changes is the ETag. */
  published: (etag: string | null) => void;
  takeTheirs: () => Promise<void>; keepMine: () => Promise<void>;
  /** What the changes began with, and a way to have something else than either side. */
  base: () => Draft; settle: (merged: Draft, theirs: Draft, etag: string | null) => Promise<void>;
}

function refusal(problem: unknown): Saving {
  if (!(problem instanceof ApiError) || problem.status >= 500 || problem.status === 429) return "unreachable";
  return problem.status === 412 ? "conflict" : "wrong";
}

export function useDraft(zap: Zap, etag: string | null): Editing {
  const [begun] = useState(() => {
    const [left, saved] = [kept(zap.id), draftOf(zap)];
    return { left: left && same(left.draft, saved) ? undefined : left, saved };
  });
  const [history, setHistory] = useState<History>({ past: [], now: begun.left?.draft ?? begun.saved, future: [], key: "", at: 0 });
  const [saving, setSaving] = useState<Saving>(begun.left ? "changed" : "saved");
  const [error, setError] = useState<unknown>();
  const [isRestored, setRestored] = useState(saving === "changed");
  const base = useRef({ etag: begun.left ? begun.left.etag : etag, draft: begun.left?.base ?? begun.saved });
  const newest = useRef(history.now);
  const underWay = useRef<Promise<string | null | undefined>>(undefined);
  newest.current = history.now;

  const send = useCallback(async (): Promise<string | null | undefined> => {
    const sent = newest.current;
    if (same(sent, base.current.draft)) {
      drop(zap.id);
      setSaving("saved");
      setError(undefined);
      return base.current.etag;
    }
    setSaving("saving");
    try {
      const call = api.PUT("/api/v1/zaps/{zap_id}", { params: { path: { zap_id: zap.id }, header: { "If-Match": base.current.etag ?? "*" } }, body: sent as never });
      const { data: changed, response } = await whole<Zap>(call as never);
      base.current = { etag: response.headers.get("etag"), draft: sent };
      zapChanged(changed, base.current.etag);
      setError(undefined);
      setRestored(false);
      if (!same(newest.current, sent)) return await send();
      drop(zap.id);
      setSaving("saved");
      return base.current.etag;
    } catch (problem) {
      setError(problem);
      const outcome = refusal(problem);
      if (outcome === "wrong" && !same(newest.current, sent)) return await send(); // what was refused has been changed meanwhile
      setSaving(outcome);
      return undefined;
    }
  }, [zap.id]);
  /** One request at a time, so that none overtakes another. */
  const flush = useCallback(async () => {
    if (underWay.current) await underWay.current;
    underWay.current = send().finally(() => (underWay.current = undefined));
    return underWay.current;
  }, [send]);

  const become = useCallback((next: Draft) => {
    newest.current = next;
    keep(zap.id, { etag: base.current.etag, draft: next, base: base.current.draft });
    setSaving((now) => (now === "conflict" ? now : "changed"));
  }, [zap.id]);
  const change = useCallback((next: Draft, key = "") => {
    if (same(next, newest.current)) return;
    const moment = Date.now();
    setHistory((old) => {
      const isSame = key !== "" && key === old.key && moment - old.at < TOGETHER_MS;
      return { past: isSame ? old.past : [...old.past, old.now].slice(-MAX_UNDO), now: next, future: [], key, at: moment };
    });
    become(next);
  }, [become]);
  const step = (from: "past" | "future", to: "past" | "future") => {
    const next = from === "past" ? history.past.at(-1) : history.future.at(-1);
    if (!next) return;
    setHistory({ ...history, [from]: history[from].slice(0, -1), [to]: [...history[to], history.now], now: next, key: "" });
    become(next);
  };

  useEffect(() => {
    if (saving !== "changed" && saving !== "unreachable") return;
    const timer = setTimeout(() => void flush(), saving === "changed" ? QUIET_MS : AGAIN_MS);
    return () => clearTimeout(timer);
  }, [saving, history.now, flush]);
  // Somebody else's change comes in where there is nothing to lose here.
  useEffect(() => {
    const theirs = draftOf(zap);
    if (etag === base.current.etag || saving !== "saved" || !same(newest.current, base.current.draft)) return;
    base.current = { etag, draft: theirs };
    setHistory((old) => (same(old.now, theirs) ? old : { past: [...old.past, old.now], now: theirs, future: [], key: "", at: 0 }));
  }, [etag, zap, saving]);
  useEffect(() => () => void (same(newest.current, base.current.draft) || flush()), [flush]);

  const read = async () => queryClient.fetchQuery({ ...zapQuery(zap.id), staleTime: 0 });
  return {
    draft: history.now, saving, error, isRestored, canUndo: history.past.length > 0, canRedo: history.future.length > 0,
    rules: error instanceof ApiError ? (error.problem.errors ?? []) : [],
    change, flush, undo: () => step("past", "future"), redo: () => step("future", "past"),
    published: (tag) => { base.current = { ...base.current, etag: tag }; },
    discard: () => change(base.current.draft),
    takeTheirs: async () => {
      const { zap: theirs, etag: tag } = await read();
      base.current = { etag: tag, draft: draftOf(theirs) };
      setHistory((old) => ({ ...old, past: [...old.past, old.now], now: base.current.draft, future: [], key: "" }));
      newest.current = base.current.draft;
      await flush();
    },
    base: () => base.current.draft,
    settle: async (merged, theirs, tag) => {
      base.current = { etag: tag, draft: theirs };
      change(merged);
      await flush();
    },
    keepMine: async () => {
      const { zap: theirs, etag: tag } = await read();
      base.current = { etag: tag, draft: draftOf(theirs) };
      await flush();
    },
  };
}
