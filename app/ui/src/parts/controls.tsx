/** Buttons, fields, notes and what else pages are made of. */
import { Check, CircleAlert, Copy, Info, TriangleAlert } from "lucide-react";
import { type ReactNode, useEffect, useId, useState } from "react";
import { ApiError } from "../api/client";
import { t } from "../texts";
import { toast } from "./toasts";

export function Page({ title, about, badge, actions, children }: {
  title: ReactNode; about?: ReactNode; badge?: ReactNode; actions?: ReactNode; children: ReactNode;
}) {
  return (
    <>
      <div className="page-head">
        <div className="grow" style={{ flexBasis: 260 }}>
          <div className="row wrap">
            <h1 className="wrap-any">{title}</h1>
            {badge}
          </div>
          {about && <p className="about">{about}</p>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </div>
      {children}
    </>
  );
}

export function Panel({ title, actions, children, flush }: {
  title?: ReactNode; actions?: ReactNode; children: ReactNode; flush?: boolean;
}) {
  return (
    <section className="panel">
      {title && (
        <header>
          <h2 className="clip">{title}</h2>
          {actions && <div className="actions">{actions}</div>}
        </header>
      )}
      {flush ? children : <div className="body">{children}</div>}
    </section>
  );
}

type Tone = "bad" | "warn" | "good" | "info" | "plain";

export function Note({ tone = "plain", children }: { tone?: Tone; children: ReactNode }) {
  const Icon = tone === "bad" ? CircleAlert : tone === "warn" ? TriangleAlert : tone === "good" ? Check : Info;
  return (
    <div className={`note ${tone}`} role={tone === "bad" ? "alert" : undefined}>
      <Icon aria-hidden />
      <div className="grow wrap-any">{children}</div>
    </div>
  );
}

export function Empty({ icon, title, children, action }: {
  icon: ReactNode; title: string; children?: ReactNode; action?: ReactNode;
}) {
  return (
    <div className="empty">
      {icon}
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** What was refused, in the API's own words, with all that is wrong. */
export function Failed({ error, again }: { error: unknown; again?: () => void }) {
  const details = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  return (
    <Note tone="bad">
      <div>{said(error)}</div>
      {details.length > 1 && (
        <ul>
          {details.map((rule) => (
            <li key={`${rule.path} ${rule.reason}`}>
              <code>{rule.path}</code>: {rule.reason}
            </li>
          ))}
        </ul>
      )}
      {again && (
        <button className="linkish" type="button" onClick={again}>
          {t.common.again}
        </button>
      )}
    </Note>
  );
}

export function said(error: unknown): string {
  if (error instanceof ApiError) return inWords(error.problem.detail ?? "") || error.problem.title || t.common.httpFailed(error.status);
  if (error instanceof TypeError) return t.common.unreachable;
  return error instanceof Error ? error.message : String(error);
}

/** What is wrong with what was filled in, in words for people: the API's speak of types. */
export function wrongAt(error: unknown, path: string): string | undefined {
  const rules = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  const reason = rules.find((rule) => rule.path === path)?.reason;
  return reason && inWords(reason);
}

export function inWords(reason: string): string {
  return reason.replace(/Expected `str` (of length >= |of length <= |that is )(.+)$/, (_, kind: string, rest: string) => {
    if (kind === "that is ") return t.login.notA(rest);
    if (kind === "of length <= ") return t.login.tooLong(Number(rest));
    return rest === "1" ? t.login.missing : t.login.tooShort(Number(rest));
  });
}

export function Loading() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 200);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="empty" aria-busy="true">
      {late ? t.common.loading : ""}
    </div>
  );
}

/** `tell` reads what is wrong aloud: for forms that are sent, not for those that are checked while one writes. */
export function Field({ label, hint, wrong, tell, children }: {
  label: string; hint?: ReactNode; wrong?: string | undefined; tell?: boolean; children: (id: string, described: string) => ReactNode;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(id, `${id}-about`)}
      <span id={`${id}-about`} className={wrong ? "wrong" : "hint"} role={wrong && tell ? "alert" : undefined}>
        {wrong ?? hint}
      </span>
    </div>
  );
}

export async function copy(text: string, what: string = t.common.copied): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context there is no clipboard API: the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(what);
}

export function CopyButton({ text, label, small = true }: { text: string | (() => string); label: string; small?: boolean }) {
  return (
    <button
      type="button"
      className={`button quiet icon${small ? " small" : ""}`}
      aria-label={label}
      title={label}
      onClick={() => copy(typeof text === "string" ? text : text())}
    >
      <Copy aria-hidden />
    </button>
  );
}

export function Copyable({ text, label, testId }: { text: string; label: string; testId?: string }) {
  return (
    <div className="copyable">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={label} data-testid={testId}>
        {text}
      </code>
      <CopyButton text={text} label={t.common.copyOf(label)} />
    </div>
  );
}

export function CodeBlock({ text, label }: { text: string; label: string }) {
  return (
    <div className="block">
      <pre tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      <CopyButton text={text} label={t.common.copyOf(label)} />
    </div>
  );
}
