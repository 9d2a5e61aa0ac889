/** Short messages that go by themselves. */
import { X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { t } from "../texts";

interface Toast { id: number; text: string }
const LASTS_MS = 5_000;
let shown: Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: Toast[]) {
  shown = next;
  for (const listener of listeners) listener();
}

export function toast(text: string): void {
  const id = ++last;
  set([...shown.slice(-2), { id, text }]);
  setTimeout(() => set(shown.filter((other) => other.id !== id)), LASTS_MS);
}

export function Toasts() {
  const items = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {items.map(({ id, text }) => (
        <div key={id} className="toast">
          <span className="grow wrap-any">{text}</span>
          <button type="button" aria-label={t.common.dismiss} onClick={() => set(shown.filter((one) => one.id !== id))}>
            <X aria-hidden />
          </button>
        </div>
      ))}
    </div>
  );
}
