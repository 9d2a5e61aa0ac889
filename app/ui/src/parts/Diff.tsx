/** What has changed, as rows of place, before and after; signs say which is which, not colours alone. */
import type { Difference } from "../api/client";
import { t } from "../texts";
import type { Change } from "../zap/diff";

const LONGEST = 2_000;

export function said(value: unknown): string {
  if (value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 1);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
}

/** What the API found to differ, which may be more than it tells. */
export function Differences({ found }: { found: Difference }) {
  return (
    <>
      <Diff changes={found.changes.map(({ path, before, after }) => ({ where: path, before, after }))} />
      {found.cut && <p className="small soft">{t.backtest.cut}</p>}
    </>
  );
}

export function Diff({ changes, before = t.diff.before, after = t.diff.after }: { changes: readonly Change[]; before?: string; after?: string }) {
  if (changes.length === 0) return <p className="soft">{t.diff.none}</p>;
  return (
    <ul className="diff" data-testid="diff">
      {changes.map((change) => (
        <li key={change.where}>
          <code className="wrap-any">{change.where}</code>
          {change.before !== undefined && <del><span className="hidden">{before}: </span>{said(change.before)}</del>}
          {change.after !== undefined && <ins><span className="hidden">{after}: </span>{said(change.after)}</ins>}
        </li>
      ))}
    </ul>
  );
}
