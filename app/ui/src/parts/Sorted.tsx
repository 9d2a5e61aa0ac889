/** A header of a table that the rows are sorted by when it is clicked. */
import { ArrowDown, ArrowUp } from "lucide-react";

export interface Sorting { by: string; isUp: boolean; choose: (name: string) => void }

export function Sorted({ name, label, sorting, className }: { name: string; label: string; sorting: Sorting | undefined; className: string }) {
  if (!sorting) return <th className={className}>{label}</th>;
  const isIt = sorting.by === name;
  return (
    <th className={className} aria-sort={isIt ? (sorting.isUp ? "ascending" : "descending") : undefined}>
      <button type="button" className="linkish plain" onClick={() => sorting.choose(name)} data-testid="sort-by">
        {label}{isIt && (sorting.isUp ? <ArrowUp aria-hidden /> : <ArrowDown aria-hidden />)}
      </button>
    </th>
  );
}
