/** The editor of a draft: its tree, the form of what is selected, and the same draft as JSON. Everything works from the keyboard. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { FlaskConical, Redo2, Send, Undo2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { DraftTest, Zap } from "../api/client";
import { queryClient, runsQuery, versionQuery } from "../api/queries";
import { said } from "../parts/controls";
import { ago, useNow } from "../parts/time";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { Publish } from "../zap/Publish";
import { type Place, at, draftOf, ownerOf, placeOfPointer, placed, placeOfStep, put, triggersOf } from "./draft";
import { type Sample, SampleOf } from "./Insert";
import { JsonView, type Jumping } from "./JsonView";
import { Picker } from "./Picker";
import { Conflict, Problems, Status } from "./Problems";
import { SettingsForm, StepForm, TriggerForm } from "./StepForm";
import { Outcome, type Stubs, Test } from "./Test";
import { Tree } from "./Tree";
import { type Editing, useDraft } from "./useDraft";
import { type Work, useSteps } from "./useSteps";
import { w } from "./words";

type Asked = "test" | "conflict" | "publish" | undefined;

export function Editor({ zap, etag }: { zap: Zap; etag: string | null }) {
  const editing = useDraft(zap, etag);
  const work = useSteps(editing);
  const [isTree, setTree] = useState(true);
  const [isJson, setJson] = useState(true);
  const [asked, setAsked] = useState<Asked>();
  const [test, setTest] = useState<DraftTest>();
  const [sample, setSample] = useState("");
  const [stubs, setStubs] = useState<Stubs>({});
  const text = useRef<Jumping>(null);
  useEffect(() => {
    if (editing.saving === "conflict") setAsked("conflict");
  }, [editing.saving]);
  function jump(pointer: string) {
    const owner = ownerOf(editing.draft, placeOfPointer(pointer));
    if (!isTree) text.current?.jump(pointer);
    else if (owner) work.open(owner.key, owner.rest);
    else document.querySelector<HTMLElement>("[data-testid=zap-name]")?.focus();
  }
  const from: Sample = sample ? { run_id: sample } : { payload: {} };
  return (
    <SampleOf value={from}>
      <div className="editor stack" onKeyDown={(event) => shortcuts(event, editing)}>
        <Bar zap={zap} editing={editing} isTree={isTree} setTree={setTree} isJson={isJson} ask={setAsked} sample={sample} setSample={setSample} />
        <div className="stack tight">
          <Problems editing={editing} zap={zap} jump={jump} />
          {test && <Outcome test={test} clear={() => setTest(undefined)} />}
        </div>
        {isTree ? <Columns editing={editing} work={work} test={test} keep={(found) => setStubs({ ...stubs, [found.id]: found.error ? { error: { code: found.error.code, message: found.error.message } } : found.output })} /> : <JsonView ref={text} draft={editing.draft} change={editing.change} setJson={setJson} />}
      </div>
      {asked === "test" && <Test zap={zap} steps={[...placed(editing.draft.steps)].map(([step]) => step.id)} selected={work.selected} stubs={stubs} dropStub={(id) => setStubs(({ [id]: _, ...others }) => others)} save={editing.flush} done={setTest} onClose={() => setAsked(undefined)} />}
      {asked === "publish" && <Publish zap={zap} draft={editing.draft} save={editing.flush} done={editing.published} onClose={() => setAsked(undefined)} />}
      {asked === "conflict" && <Conflict editing={editing} zap={zap} onClose={() => setAsked(undefined)} />}
    </SampleOf>
  );
}

/** Undo and redo of the draft; in a field they are the field's own. */
function shortcuts(event: React.KeyboardEvent, editing: Editing) {
  const isField = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  if (isField || !(event.ctrlKey || event.metaKey)) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) editing.undo();
  else if (key === "y" || key === "z") editing.redo();
  else return;
  event.preventDefault();
}

function Bar({ zap, editing, isTree, setTree, isJson, ask, sample, setSample }: {
  zap: Zap; editing: Editing; isTree: boolean; setTree: (on: boolean) => void; isJson: boolean; ask: (what: Asked) => void; sample: string; setSample: (id: string) => void;
}) {
  const { draft } = editing;
  const isNew = zap.status === "draft" || zap.draft_differs || editing.saving !== "saved";
  return (
    <div className="editor-bar">
      <input className="input zap-name" aria-label={w.name} value={draft.name} maxLength={200} onChange={(event) => editing.change(put(draft, ["name"], event.target.value), "name")} data-testid="zap-name" />
      <div className="row wrap">
        <div className="segments" role="group" aria-label={w.views}>
          <button type="button" aria-pressed={isTree} onClick={() => setTree(true)} data-testid="view-tree">{w.tree}</button>
          <button type="button" aria-pressed={!isTree} onClick={() => setTree(false)} data-testid="view-json">{w.json}</button>
        </div>
        <button type="button" className="button quiet icon" aria-label={w.undo} title={w.undo} disabled={!editing.canUndo} onClick={editing.undo} data-testid="undo"><Undo2 aria-hidden /></button>
        <button type="button" className="button quiet icon" aria-label={w.redo} title={w.redo} disabled={!editing.canRedo} onClick={editing.redo} data-testid="redo"><Redo2 aria-hidden /></button>
        <Samples zap={zap} sample={sample} setSample={setSample} />
        <button type="button" className="button" onClick={() => ask("test")} data-testid="test"><FlaskConical aria-hidden />{w.test}</button>
        <button type="button" className="button primary" disabled={!isNew || !isJson} title={isNew ? w.publishAbout : w.isLive} onClick={() => ask("publish")} data-testid="publish"><Send aria-hidden />{isNew ? w.publish : w.published}</button>
      </div>
      <div className="row wrap small"><Status editing={editing} zap={zap} isJson={isJson} />{editing.saving === "conflict" && <button type="button" className="linkish" onClick={() => ask("conflict")}>{w.decide}</button>}{zap.version > 0 && isNew && <button type="button" className="linkish" onClick={() => void backToLive(zap, editing)} data-testid="back-to-live">{w.backToLive}</button>}</div>
    </div>
  );
}

/** What was changed since the last publish is taken back, which can be undone itself. */
async function backToLive(zap: Zap, editing: Editing) {
  try {
    const live = await queryClient.fetchQuery(versionQuery(zap.id, zap.version));
    editing.change(draftOf({ name: live.name, draft: live.definition }));
    toast(w.isAsLive);
  } catch (problem) {
    toast(said(problem));
  }
}

/** The run whose values can be inserted, and that previews are rendered with. */
function Samples({ zap, sample, setSample }: { zap: Zap; sample: string; setSample: (id: string) => void }) {
  const now = useNow();
  const runs = useInfiniteQuery(runsQuery({ zap_id: zap.id }, 20)).data?.pages[0]?.items;
  const newest = runs?.[0]?.id;
  useEffect(() => {
    if (!sample && newest) setSample(newest);
  }, [sample, newest, setSample]);
  if (!runs?.length) return null;
  return (
    <select className="select samples" aria-label={w.sample} value={sample} onChange={(event) => setSample(event.target.value)}>
      {runs.map((run) => <option key={run.id} value={run.id}>{w.runAt(ago(run.started_at, now), t.runStatus[run.status] ?? run.status)}</option>)}
      {!runs.some((run) => run.id === sample) && <option value={sample}>{w.sample}</option>}
    </select>
  );
}

type Tested = NonNullable<DraftTest["steps"]>[number];

function Columns({ editing, work, test, keep }: { editing: Editing; work: Work; test: DraftTest | undefined; keep: (found: Tested) => void }) {
  const { draft, rules } = editing;
  const tested = new Map((test?.steps ?? []).map((step) => [step.id, step]));
  const wrong = new Set(rules.flatMap((rule) => ownerOf(draft, placeOfPointer(rule.pointer ?? ""))?.key ?? []));
  return (
    <div className="editor-columns">
      <div ref={work.root} role="region" aria-label={w.steps} onKeyDown={work.onKey}>
        <Tree shown={{ draft, selected: work.selected, select: work.select, add: work.ask, wrong, tested }} />
        <p className="small faint keys">{w.keys}</p>
      </div>
      <div className="editor-panel" ref={work.panel} onKeyDown={work.onPanelKey}><Form editing={editing} work={work} tested={tested} keep={keep} /></div>
      {work.adding && <Picker copied={work.copied} choose={work.add} onClose={work.stopAdding} />}
    </div>
  );
}

function Form({ editing, work, tested, keep }: { editing: Editing; work: Work; tested: ReadonlyMap<string, Tested>; keep: (found: Tested) => void }) {
  const { draft, change, rules } = editing;
  const { selected } = work;
  if (selected.startsWith("trigger:")) {
    const place: Place = triggersOf(draft)[Number(selected.slice(8))]?.[1] ?? triggersOf(draft)[0]?.[1] ?? ["trigger"];
    return <TriggerForm key={selected} draft={draft} place={place} change={change} rules={rules} />;
  }
  if (selected === "settings") return <SettingsForm draft={draft} change={change} rules={rules} />;
  const place = placeOfStep(draft, selected);
  if (!place || !at(draft, place)) return <p className="faint">{w.choose}</p>;
  return <StepForm key={selected} draft={draft} place={place} change={change} rules={rules} verbs={work.verbs} tested={tested.get(selected)} keep={keep} />;
}
