/** How the draft is saved, what is wrong with it, and what to do where somebody else has changed it, too. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { BrokenRule, Zap } from "../api/client";
import { zapQuery } from "../api/queries";
import { Failed, Note } from "../parts/controls";
import { said } from "../parts/Diff";
import { Dialog } from "../parts/overlays";
import { draftOf } from "./draft";
import { ORDER, type Part, type Side, compared, merged } from "./merge";
import type { Editing } from "./useDraft";
import { w } from "./words";

export function Status({ editing, zap, isJson }: { editing: Editing; zap: Zap; isJson: boolean }) {
  const words = {
    saved: w.saved(zap.position), changed: w.notSaved, saving: w.saving, wrong: w.wrong(Math.max(1, editing.rules.length)), unreachable: w.unreachable, conflict: w.conflicted,
  };
  return <p className="small faint" role="status" data-testid="saving" data-state={editing.saving}>{isJson ? words[editing.saving] : w.notJson}</p>;
}

export function Problems({ editing, zap, jump }: { editing: Editing; zap: Zap; jump: (pointer: string) => void }) {
  const { rules, error, saving, isRestored } = editing;
  return (
    <>
      {isRestored && <Note tone="info">{w.restored} <button type="button" className="linkish" onClick={editing.discard}>{w.discard}</button></Note>}
      {rules.length > 0 && (
        <Note tone="bad">
          <strong>{w.problems(rules.length)}</strong>
          <ul data-testid="problems">{rules.map((rule) => <Rule key={`${rule.path} ${rule.reason}`} rule={rule} jump={jump} />)}</ul>
        </Note>
      )}
      {rules.length === 0 && error !== undefined && saving === "wrong" && <Failed error={error} />}
      {zap.warnings.length > 0 && saving === "saved" && (
        <Note tone="warn">{w.warnings}<ul>{zap.warnings.map((one) => <li key={`${one.path} ${one.code}`}><code>{one.path}</code> {one.reason}</li>)}</ul></Note>
      )}
    </>
  );
}

function Rule({ rule, jump }: { rule: BrokenRule; jump: (pointer: string) => void }) {
  const allowed = rule.allowed ?? [];
  return (
    <li>
      <button type="button" className="linkish mono" onClick={() => jump(rule.pointer ?? "")}>{rule.path || "/"}</button> {rule.reason}{" "}
      {rule.did_you_mean ? !rule.reason.includes(rule.did_you_mean) && w.meant(rule.did_you_mean) : allowed.length > 0 && allowed.length < 12 && w.allowed(allowed.join(", "))}
    </li>
  );
}

export function Conflict({ editing, zap, onClose }: { editing: Editing; zap: Zap; onClose: () => void }) {
  const found = useQuery({ ...zapQuery(zap.id), staleTime: 0 }).data ?? { zap, etag: null };
  const [chosen, setChosen] = useState<ReadonlyMap<string, Side>>(new Map());
  const [busy, setBusy] = useState(false);
  const [base, theirs, mine] = [editing.base(), draftOf(found.zap), editing.draft];
  const rows = compared(base, theirs, mine);
  const settle = (work: () => Promise<void>) => {
    setBusy(true);
    void work().finally(onClose);
  };
  return (
    <Dialog title={w.conflict} onClose={onClose} wide>
      <div className="dialog-body" data-testid="conflict">
        <p>{rows.length > 0 ? w.conflictAbout : w.equal}</p>
        {rows.map((part) => <Both key={part.key} part={part} side={chosen.get(part.key) ?? "mine"} choose={(side) => setChosen(new Map(chosen).set(part.key, side))} />)}
      </div>
      <footer className="wrap">
        <button type="button" className="button" onClick={onClose}>{w.later}</button>
        <button type="button" className="button" disabled={busy} onClick={() => settle(editing.takeTheirs)} data-testid="take-theirs">{w.theirs}</button>
        <button type="button" className="button" disabled={busy} onClick={() => settle(editing.keepMine)} data-testid="keep-mine">{w.mine}</button>
        <button type="button" className="button primary" disabled={busy} onClick={() => settle(() => editing.settle(merged(base, theirs, mine, chosen), theirs, found.etag))} data-testid="merge">{w.merge}</button>
      </footer>
    </Dialog>
  );
}

/** One thing that differs: taken from whoever has changed it, chosen where both have. */
function Both({ part, side, choose }: { part: Part; side: Side; choose: (side: Side) => void }) {
  const shown = (value: unknown) => said(part.key === ORDER ? w.order(value) : value);
  return (
    <div className="stack close" data-testid="differs">
      <div className="row wrap between">
        <code>{part.key === ORDER ? w.orderName : part.key}</code>
        {part.by === "both" ? (
          <span className="segments" role="group" aria-label={w.take(part.key)}>
            {(["theirs", "mine"] as const).map((one) => <button key={one} type="button" aria-pressed={side === one} onClick={() => choose(one)}>{one === "theirs" ? w.their : w.my}</button>)}
          </span>
        ) : <span className="badge">{part.by === "theirs" ? w.onlyTheirs : w.onlyMine}</span>}
      </div>
      <div className="diff">
        <del><span className="hidden">{w.their}: </span>{shown(part.theirs) || w.missing}</del>
        <ins><span className="hidden">{w.my}: </span>{shown(part.mine) || w.missing}</ins>
      </div>
    </div>
  );
}
