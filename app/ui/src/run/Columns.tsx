/** Columns of the run list: search keys that zaps declare, chosen by whoever looks; and the order, by their headers. */
import { useQuery } from "@tanstack/react-query";
import { Check, Columns3 } from "lucide-react";
import { pathsQuery } from "../api/queries";
import { Menu, MenuItem } from "../parts/overlays";
import type { Sorting } from "../parts/Sorted";
import { t } from "../texts";
import type { RunSearch } from "./Filters";

/** The search keys that an address has as columns, in their order. */
export const columnsOf = (search: RunSearch) => (search.columns ? search.columns.split(",") : []);

/** A click on a header sorts by it, the largest first; one more turns the order. */
export function sortingOf(search: RunSearch, set: (change: RunSearch) => void): Sorting {
  const by = search.sort || "started_at";
  const isUp = search.order === "asc";
  return { by, isUp, choose: (name) => set({ sort: name === "started_at" ? "" : name, order: name === by && !isUp ? "asc" : "" }) };
}

export function Columns({ search, set }: { search: RunSearch; set: (change: RunSearch) => void }) {
  const chosen = columnsOf(search);
  const known = useQuery(pathsQuery("keys")).data ?? [];
  const names = [...new Set([...chosen, ...known.map(({ path }) => path.replace("keys.", ""))])];
  if (names.length === 0) return null;
  const turn = (name: string) => {
    const left = chosen.filter((one) => one !== name);
    const isSorted = search.sort === `keys.${name}`;
    if (left.length === chosen.length) set({ columns: [...chosen, name].join(",") });
    else set({ columns: left.join(","), ...(isSorted ? { sort: "", order: "" } : {}) });
  };
  return (
    <Menu label={t.runs.columns} trigger={<button type="button" className="button" data-testid="columns"><Columns3 aria-hidden />{t.runs.columns}</button>}>
      {names.map((name) => (
        <MenuItem key={name} icon={chosen.includes(name) ? <Check aria-label={t.runs.isColumn} /> : undefined} onSelect={() => turn(name)} testId="column">{name}</MenuItem>
      ))}
    </Menu>
  );
}
