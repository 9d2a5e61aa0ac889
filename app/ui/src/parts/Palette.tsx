/** Go anywhere from the keyboard: pages, zaps by name, runs by id. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Activity, BookOpen, Moon, Search, Workflow } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useMemo, useRef, useState } from "react";
import { zapsQuery } from "../api/queries";
import { root } from "../api/session";
import { t } from "../texts";
import { SECTIONS } from "./Frame";
import { setTheme } from "./theme";

interface Item { name: string; about: string; icon: ReactNode; go: () => unknown }
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MOST = 30;

export function Palette({ onClose }: { onClose: () => void }) {
  const ref = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const items = useItems(text.trim());
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  useEffect(() => {
    // In braces: newer browsers give a promise, which React would take for a clean-up.
    void document.getElementById(`${list}-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at, list]);
  const choose = (item: Item | undefined) => {
    if (!item) return;
    ref.current?.close();
    void item.go();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((now) => Math.min(now + 1, items.length - 1));
    else if (event.key === "ArrowUp") setAt((now) => Math.max(now - 1, 0));
    else if (event.key === "Enter") choose(items[at]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={ref} className="palette" aria-label={t.nav.jump} onClose={onClose}
      onClick={(event) => event.target === ref.current && ref.current?.close()}>
      <input
        role="combobox" aria-expanded="true" aria-controls={list} aria-activedescendant={`${list}-${at}`} aria-label={t.nav.jump}
        placeholder={t.palette.placeholder} value={text} onKeyDown={onKey} data-testid="palette"
        onChange={(event) => { setText(event.target.value); setAt(0); }}
      />
      <ul id={list} role="listbox" aria-label={t.nav.jump}>
        {items.map((item, index) => (
          <li key={`${item.about} ${item.name} ${index}`} id={`${list}-${index}`} role="option" aria-selected={index === at}
            onPointerMove={() => setAt(index)} onClick={() => choose(item)}>
            {item.icon}
            <span className="clip">{item.name}</span>
            <span className="small faint nowrap">{item.about}</span>
          </li>
        ))}
      </ul>
      {items.length === 0 && <p className="faint" style={{ padding: "8px 18px 16px" }}>{t.palette.nothing}</p>}
    </dialog>
  );
}

function useItems(text: string): Item[] {
  const navigate = useNavigate();
  const { data: zaps } = useQuery(zapsQuery);
  return useMemo(() => {
    const found: Item[] = [];
    if (ID.test(text)) {
      found.push({ name: text, about: t.palette.run, icon: <Activity aria-hidden />, go: () => navigate({ to: "/runs/$id", params: { id: text } }) });
    }
    const isDark = document.documentElement.dataset.theme === "dark";
    const all: Item[] = [
      ...SECTIONS.map((section) => ({ name: section.name, about: t.palette.page, icon: section.icon, go: () => navigate({ to: section.to }) })),
      ...(zaps ?? []).map((zap) => ({ name: zap.name, about: t.palette.zap, icon: <Workflow aria-hidden />, go: () => navigate({ to: "/zaps/$id", params: { id: zap.id } }) })),
      { name: isDark ? t.theme.toLight : t.theme.toDark, about: t.palette.command, icon: <Moon aria-hidden />, go: () => setTheme(isDark ? "light" : "dark") },
      { name: t.palette.guide, about: t.palette.docs, icon: <BookOpen aria-hidden />, go: () => location.assign(`${root}/docs/guide`) },
      { name: t.palette.api, about: t.palette.docs, icon: <BookOpen aria-hidden />, go: () => location.assign(`${root}/docs`) },
    ];
    const words = text.toLowerCase().split(/\s+/);
    found.push(...all.filter((item) => words.every((word) => item.name.toLowerCase().includes(word))));
    const search = text ? [{ name: text, about: t.palette.search, icon: <Search aria-hidden />, go: () => navigate({ to: "/runs", search: { q: text } }) }] : [];
    return [...found.slice(0, MOST), ...search];
  }, [text, zaps, navigate]);
}
