/** How the draft is saved, what is wrong with it, and what to do where somebody else has changed it, too. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { BrokenRule, Zap } from "../api/client";
import { zapQuery } from "../api/queries";
import { Failed, Note } from "../parts/controls";
import { Dialog } from "../parts/overlays";
import { type Draft, draftOf, placed, same } from "./draft";
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
      {rule.did_you_mean ? w.meant(rule.did_you_mean) : allowed.length > 0 && allowed.length < 12 && w.allowed(allowed.join(", "))}
    </li>
  );
}

function parts(draft: Draft): Map<string, unknown> {
  const steps = [...placed(draft.steps)].map(([step]) => [step.id, step] as const);
  return new Map<string, unknown>([["name", draft.name], ["trigger", draft.trigger ?? draft.triggers], ["settings", draft.settings], ...steps]);
}

/** What differs, step by step. */
function differences(theirs: Draft, mine: Draft): [string, string, string][] {
  const said = (value: unknown) => (value === undefined ? w.missing : typeof value === "string" ? value : JSON.stringify(value).slice(0, 200));
  const [one, other] = [parts(theirs), parts(mine)];
  return [...new Set([...one.keys(), ...other.keys()])].filter((key) => !same(one.get(key), other.get(key))).map((key) => [key, said(one.get(key)), said(other.get(key))]);
}

export function Conflict({ editing, zap, onClose }: { editing: Editing; zap: Zap; onClose: () => void }) {
  const theirs = useQuery({ ...zapQuery(zap.id), staleTime: 0 }).data?.zap ?? zap;
  const [busy, setBusy] = useState(false);
  const rows = differences(draftOf(theirs), editing.draft);
  const settle = (work: () => Promise<void>) => {
    setBusy(true);
    void work().finally(onClose);
  };
  return (
    <Dialog title={w.conflict} onClose={onClose} wide>
      <div className="dialog-body" data-testid="conflict">
        <p>{rows.length > 0 ? w.conflictAbout : w.equal}</p>
        {rows.length > 0 && (
          <table className="table differences">
            <thead><tr><th>{w.place}</th><th>{w.their}</th><th>{w.my}</th></tr></thead>
            <tbody>{rows.map(([key, their, my]) => <tr key={key}><td className="mono">{key}</td><td className="mono wrap-any">{their}</td><td className="mono wrap-any">{my}</td></tr>)}</tbody>
          </table>
        )}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{w.later}</button>
        <button type="button" className="button" disabled={busy} onClick={() => settle(editing.keepMine)} data-testid="keep-mine">{w.mine}</button>
        <button type="button" className="button primary" disabled={busy} onClick={() => settle(editing.takeTheirs)} data-testid="take-theirs">{w.theirs}</button>
      </footer>
    </Dialog>
  );
}
