/** The same draft as JSON; what parses is the draft at once. */
import { type Ref, useEffect, useImperativeHandle, useRef, useState } from "react";
import { Field } from "../parts/controls";
import { t } from "../texts";
import { placeOf } from "../zap/place";
import { type Draft, written } from "./draft";

export interface Jumping { jump: (pointer: string) => void }

export function JsonView({ draft, change, setJson, ref }: { draft: Draft; change: (next: Draft, key?: string) => void; setJson: (isJson: boolean) => void; ref: Ref<Jumping> }) {
  const [text, setText] = useState(written(draft));
  const told = useRef(text);
  const area = useRef<HTMLTextAreaElement>(null);
  const now = written(draft);
  if (now !== told.current) {
    told.current = now;
    setText(now);
  }
  useEffect(() => () => setJson(true), [setJson]);
  function write(next: string) {
    setText(next);
    try {
      const read = JSON.parse(next) as Draft;
      const isDraft = typeof read === "object" && read !== null && Array.isArray(read.steps ?? []);
      setJson(isDraft);
      if (!isDraft) return;
      const full = { ...read, steps: read.steps ?? [] };
      told.current = written(full);
      change(full, "json");
    } catch {
      setJson(false);
    }
  }
  useImperativeHandle(ref, () => ({
    jump: (pointer) => {
      const place = placeOf(text, pointer);
      if (!place || !area.current) return;
      area.current.focus();
      area.current.setSelectionRange(place[0], place[1]);
      area.current.scrollTop = Math.max(0, (text.slice(0, place[0]).split("\n").length - 1) * 19.4 - 120);
    },
  }));
  return (
    <Field label={t.draft.json} hint={t.draft.jsonHint}>
      {(id, described) => <textarea id={id} ref={area} aria-describedby={described} className="area code" rows={28} spellCheck={false} value={text} onChange={(event) => write(event.target.value)} data-testid="draft-json" />}
    </Field>
  );
}
