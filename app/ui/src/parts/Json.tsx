/** A JSON value as a tree. Only the lines in view exist, so a large value does not hold the page up. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronRight, Copy } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { t } from "../texts";
import { copy, CopyButton } from "./controls";
import { FileLeaf, fileOf } from "./File";
import { size } from "./time";

const AT_ONCE = 256 * 1024;
/** Characters of a text in one line; the rest is a click away. */
const LINE = 400;
const OPEN_BELOW = 60;

interface Line {
  path: string; key: string; depth: number; value: unknown;
  kind: "leaf" | "open" | "closed" | "end"; count: number; bracket: string;
}

interface Large { path: string; size: number; beginning: string }

function large(value: unknown): Large | undefined {
  if (value === null || typeof value !== "object" || !("$large" in value)) return undefined;
  return (value as { $large: Large }).$large;
}

export function Json({ value, title, path, load }: {
  value: unknown; title: string; path: string; load?: ((path: string) => Promise<unknown>) | undefined;
}) {
  const [loaded, setLoaded] = useState<unknown>();
  const [wanted, setWanted] = useState(false);
  const left = large(value);
  const text = useMemo(() => JSON.stringify(left ? null : value) ?? "null", [value, left]);
  if (left && loaded === undefined) {
    return (
      <Later title={title} bytes={left.size} beginning={left.beginning}
        show={load ? async () => setLoaded(await load(left.path)) : undefined} />
    );
  }
  if (!left && text.length > AT_ONCE && !wanted) {
    return <Later title={title} bytes={text.length} beginning={text.slice(0, 600)} show={async () => setWanted(true)} />;
  }
  return <Tree value={left ? loaded : value} title={title} path={path} load={load} />;
}

function Later({ title, bytes, beginning, show }: {
  title: string; bytes: number; beginning: string; show: (() => Promise<unknown>) | undefined;
}) {
  const [busy, setBusy] = useState(false);
  return (
    <div className="json">
      <div className="bar">
        <span className="title">{title}</span>
        <span>{size(bytes)}</span>
        {show && (
          <button type="button" className="button small" disabled={busy}
            onClick={() => { setBusy(true); show().finally(() => setBusy(false)); }}>
            {t.json.show}
          </button>
        )}
      </div>
      <div className="lines" tabIndex={0} role="region" aria-label={title}>
        <div className="line"><span className="fold" /><span className="faint">{beginning.slice(0, 600)}…</span></div>
      </div>
    </div>
  );
}

function Tree({ value, title, path, load }: {
  value: unknown; title: string; path: string; load?: ((path: string) => Promise<unknown>) | undefined;
}) {
  const [flipped, setFlipped] = useState<ReadonlySet<string>>(new Set());
  const lines = useMemo(() => {
    const found: Line[] = [];
    flatten(value, "", path, 0, flipped, found);
    return found;
  }, [value, path, flipped]);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: lines.length, getScrollElement: () => scroller.current, estimateSize: () => 24, overscan: 20 });
  const isLong = lines.length > 200;
  const flip = (line: Line) => {
    const next = new Set(flipped);
    if (!next.delete(line.path)) next.add(line.path);
    setFlipped(next);
  };
  const view = (line: Line, index: number) => <Row key={`${index} ${line.path}`} line={line} flip={flip} load={load} />;
  return (
    <div className="json">
      <div className="bar">
        <span className="title">{title}</span>
        {Array.isArray(value) && <span>{t.json.items(value.length)}</span>}
        <CopyButton text={() => JSON.stringify(value, null, 2)} label={t.json.copyJson(title)} />
      </div>
      <div className="lines" ref={scroller} tabIndex={0} role="region" aria-label={title}>
        {!isLong && lines.map(view)}
        {isLong && (
          <div style={{ height: rows.getTotalSize(), position: "relative" }}>
            {rows.getVirtualItems().map((item) => (
              <div key={item.key} ref={rows.measureElement} data-index={item.index}
                style={{ position: "absolute", top: 0, left: 0, right: 0, transform: `translateY(${item.start}px)` }}>
                {view(lines[item.index] as Line, item.index)}
              </div>
            ))}
          </div>
        )}
      </div>
    </div>
  );
}

function flatten(value: unknown, key: string, path: string, depth: number, flipped: ReadonlySet<string>, into: Line[]) {
  const isList = Array.isArray(value);
  if (value === null || typeof value !== "object" || large(value) || fileOf(value)) {
    into.push({ path, key, depth, value, kind: "leaf", count: 0, bracket: "" });
    return;
  }
  const entries = isList ? value.map((item, index) => [String(index), item] as const) : Object.entries(value);
  const [first, last] = isList ? ["[", "]"] : ["{", "}"];
  const openByItself = depth === 0 || (key !== "headers" && depth < 4 && entries.length <= OPEN_BELOW);
  const isOpen = entries.length > 0 && openByItself !== flipped.has(path);
  into.push({ path, key, depth, value, kind: isOpen ? "open" : "closed", count: entries.length, bracket: isOpen ? first : `${first}…${last}` });
  if (!isOpen) return;
  for (const [name, item] of entries) flatten(item, isList ? "" : name, joined(path, name, isList), depth + 1, flipped, into);
  into.push({ path, key: "", depth, value, kind: "end", count: 0, bracket: last });
}

/** The path as templates spell it. */
function joined(path: string, name: string, isList: boolean): string {
  if (isList) return `${path}[${name}]`;
  return /^[A-Za-z_]\w*$/.test(name) ? `${path}.${name}` : `${path}["${name}"]`;
}

function Row({ line, flip, load }: { line: Line; flip: (line: Line) => void; load?: ((path: string) => Promise<unknown>) | undefined }) {
  const folds = line.kind === "open" || (line.kind === "closed" && line.count > 0);
  return (
    <div className="line" style={{ paddingLeft: 6 + line.depth * 16 }}>
      {folds ? (
        <button type="button" className="fold" aria-expanded={line.kind === "open"} aria-label={line.key || line.path} onClick={() => flip(line)}>
          <ChevronRight aria-hidden />
        </button>
      ) : (
        <span className="fold" />
      )}
      <span className="grow">
        {line.key && <span className="key">{line.key}</span>}
        {line.key && ": "}
        {line.kind === "leaf" ? <Leaf value={line.value} load={load} /> : <span className="faint">{emptied(line)}</span>}
        {line.kind === "closed" && line.count > 0 && <span className="count"> {t.json.items(line.count)}</span>}
      </span>
      {line.kind !== "end" && (
        <button type="button" className="take" aria-label={t.json.copyPath(line.path)} title={t.json.copyPath(line.path)}
          onClick={() => copy(`{{ ${line.path} }}`, t.json.pathCopied(line.path))}>
          <Copy aria-hidden />
        </button>
      )}
    </div>
  );
}

function emptied(line: Line): string {
  return line.kind === "closed" && line.count === 0 ? line.bracket.replace("…", "") : line.bracket;
}

function Leaf({ value, load }: { value: unknown; load?: ((path: string) => Promise<unknown>) | undefined }) {
  const [whole, setWhole] = useState(false);
  const left = large(value);
  if (left) return <LargeLeaf left={left} load={load} />;
  const file = fileOf(value);
  if (file) return <FileLeaf file={file} />;
  if (typeof value === "string") {
    const isCut = value.length > LINE && !whole;
    return (
      <span className="text">
        "{isCut ? value.slice(0, LINE) : value}"
        {isCut && (
          <>
            {" "}
            <button type="button" className="linkish" onClick={() => setWhole(true)}>{t.json.rest(value.length - LINE)}</button>
          </>
        )}
      </span>
    );
  }
  if (typeof value === "number") return <span className="numeric">{String(value)}</span>;
  return <span className="literal">{String(value)}</span>;
}

function LargeLeaf({ left, load }: { left: Large; load?: ((path: string) => Promise<unknown>) | undefined }) {
  const [found, setFound] = useState<unknown>();
  // In the place of the line, and only the lines in view: 5 MB of text at once would hold the page up.
  if (typeof found === "object" && found !== null) return <Tree value={found} title={left.path} path={left.path} load={load} />;
  if (found !== undefined) return <Leaf value={found} />;
  return (
    <span>
      <span className="faint">{left.beginning.slice(0, 120)}… </span>
      {load && (
        <button type="button" className="linkish" onClick={async () => setFound(await load(left.path))}>
          {t.json.load(size(left.size))}
        </button>
      )}
    </span>
  );
}
