/** Dialogs are the browser's own <dialog>: it keeps the focus, closes on Escape, and needs no style of a script. */
import * as Dropdown from "@radix-ui/react-dropdown-menu";
import { MoreHorizontal, X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { t } from "../texts";
import { Failed } from "./controls";

export function Dialog({ title, onClose, wide, children }: {
  title: string; onClose: () => void; wide?: boolean; children: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    ref.current?.showModal();
    first(ref.current)?.focus();
  }, []);
  return (
    <dialog
      ref={ref}
      className={wide ? "wide" : ""}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === ref.current && ref.current?.close()}
    >
      <header>
        <h2 id={id} className="wrap-any">{title}</h2>
        <button type="button" className="button quiet icon" aria-label={t.common.close} onClick={() => ref.current?.close()}>
          <X aria-hidden />
        </button>
      </header>
      {children}
    </dialog>
  );
}

/** Where one goes on: the first field; without one the button that does it, unless that is dangerous. */
function first(dialog: HTMLDialogElement | null): HTMLElement | null | undefined {
  const found = (selector: string) => dialog?.querySelector<HTMLElement>(selector);
  return found(".dialog-body :is(input, select, textarea)") ?? found("footer .primary:not(.danger, [disabled])") ?? found("footer .button");
}

/** Asks before something is done that cannot be undone, and shows why it failed. */
export function Confirm({ title, children, action, danger, wide = false, onClose, onConfirm }: {
  title: string; children: ReactNode; action: string; danger?: boolean; wide?: boolean; onClose: () => void; onConfirm: () => Promise<unknown>;
}) {
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function confirm() {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return (
    <Dialog title={title} onClose={onClose} wide={wide}>
      <div className="dialog-body">
        {children}
        {error !== undefined && <Failed error={error} />}
      </div>
      <footer>
        <button type="button" className="button" onClick={onClose}>{t.common.cancel}</button>
        <button type="button" className={`button primary${danger ? " danger" : ""}`} disabled={busy} onClick={confirm} data-testid="confirm">
          {action}
        </button>
      </footer>
    </Dialog>
  );
}

export function Menu({ label, children, trigger }: { label: string; children: ReactNode; trigger?: ReactNode }) {
  return (
    <Dropdown.Root modal={false}>
      <Dropdown.Trigger asChild>
        {trigger ?? (
          <button type="button" className="button quiet icon small" aria-label={label} title={label}>
            <MoreHorizontal aria-hidden />
          </button>
        )}
      </Dropdown.Trigger>
      <Dropdown.Portal>
        <Dropdown.Content className="menu" align="end" sideOffset={4} aria-label={label}>
          {children}
        </Dropdown.Content>
      </Dropdown.Portal>
    </Dropdown.Root>
  );
}

export function MenuItem({ icon, onSelect, danger, children, testId }: {
  icon?: ReactNode; onSelect: () => void; danger?: boolean; children: ReactNode; testId?: string;
}) {
  return (
    <Dropdown.Item className={danger ? "danger" : ""} onSelect={onSelect} data-testid={testId}>
      {icon}
      {children}
    </Dropdown.Item>
  );
}
