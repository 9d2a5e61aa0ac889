/** The draft as JSON, for now: what is wrong is listed, and leads to its place. */
import { useEffect, useRef, useState } from "react";
import { ApiError, type BrokenRule, type Zap, api, whole } from "../api/client";
import { queryClient, zapChanged, zapQuery } from "../api/queries";
import { Failed, Field, Note, Panel } from "../parts/controls";
import { Confirm } from "../parts/overlays";
import { toast } from "../parts/toasts";
import { t } from "../texts";
import { exported } from "./actions";
import { placeOf } from "./place";

export function Draft({ zap, etag }: { zap: Zap; etag: string | null }) {
  const saved = exported(zap);
  const [text, setText] = useState(saved);
  const [base, setBase] = useState({ etag, text: saved });
  const [error, setError] = useState<unknown>();
  const [isConflict, setConflict] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const isChanged = text !== base.text;
  // Somebody else's change comes in where there is nothing to lose here.
  useEffect(() => {
    if (!isChanged && etag !== base.etag) {
      setBase({ etag, text: saved });
      setText(saved);
    }
  }, [etag, saved, isChanged, base.etag]);
  useEffect(() => {
    if (!isChanged) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isChanged]);

  async function save(tag: string | null) {
    setError(undefined);
    try {
      const body = JSON.parse(text) as never;
      const call = api.PUT("/api/v1/zaps/{zap_id}", { params: { path: { zap_id: zap.id }, header: { "If-Match": tag ?? "*" } }, body });
      const { data: changed, response } = await whole<Zap>(call as never);
      const next = response.headers.get("etag");
      setBase({ etag: next, text: exported(changed) });
      setText(exported(changed));
      zapChanged(changed, next);
      toast(t.draft.saved(changed.position));
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 412) setConflict(true);
      else setError(problem instanceof SyntaxError ? new Error(t.json.invalid(problem.message)) : problem);
    }
  }
  async function takeTheirs() {
    const { zap: theirs, etag: tag } = await queryClient.fetchQuery({ ...zapQuery(zap.id), staleTime: 0 });
    setBase({ etag: tag, text: exported(theirs) });
    setText(exported(theirs));
  }
  function jump(rule: BrokenRule) {
    const at = placeOf(text, rule.pointer ?? "");
    if (!at || !area.current) return;
    area.current.focus();
    area.current.setSelectionRange(at[0], at[1]);
    const line = text.slice(0, at[0]).split("\n").length - 1;
    area.current.scrollTop = Math.max(0, line * 19.4 - 120);
  }
  const rules = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  return (
    <Panel title={t.draft.title} actions={
      <>
        <span className="small faint">{isChanged ? t.draft.unsaved : t.draft.asSaved(zap.position)}</span>
        <button type="button" className="button small" disabled={!isChanged} onClick={() => setText(base.text)}>{t.draft.undo}</button>
        <button type="button" className="button small primary" disabled={!isChanged} onClick={() => void save(base.etag)} data-testid="save-draft">{t.common.save}</button>
      </>
    }>
      <div className="stack">
        {rules.length > 0 ? (
          <Note tone="bad">
            <strong>{t.draft.problems(rules.length)}</strong>
            <ul>
              {rules.map((rule) => (
                <li key={`${rule.path} ${rule.reason}`}>
                  <button type="button" className="linkish mono" onClick={() => jump(rule)}>{rule.path || "/"}</button> {rule.reason}
                  {rule.did_you_mean && ` ${t.draft.meant(rule.did_you_mean)}`}
                </li>
              ))}
            </ul>
          </Note>
        ) : error !== undefined && <Failed error={error} />}
        <Field label={t.draft.json} hint={t.draft.jsonHint}>
          {(id, described) => (
            <textarea id={id} ref={area} aria-describedby={described} className="area code" rows={28} spellCheck={false} value={text}
              onChange={(event) => setText(event.target.value)} data-testid="draft-json" />
          )}
        </Field>
      </div>
      {isConflict && (
        <Confirm title={t.draft.conflictTitle} action={t.draft.theirs} onClose={() => setConflict(false)} onConfirm={takeTheirs}>
          <div className="stack tight" data-testid="conflict">
            <p>{t.draft.conflictAbout}</p>
            <button type="button" className="button" onClick={() => { setConflict(false); void queryClient.fetchQuery({ ...zapQuery(zap.id), staleTime: 0 }).then((now) => save(now.etag)); }}>{t.draft.mine}</button>
          </div>
        </Confirm>
      )}
    </Panel>
  );
}
