/** Approvals: what waits for somebody's word, decided in place. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Check, UserCheck, X } from "lucide-react";
import { useState } from "react";
import { type Approval, api, data } from "../api/client";
import { approvalsQuery, queryClient, useZapNames } from "../api/queries";
import { Empty, Failed, Field, Loading, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Ago, Moment } from "../parts/time";
import { toast } from "../parts/toasts";
import { Asked } from "../run/Asked";
import { t } from "../texts";

type State = Approval["state"];
const STATES = ["open", "decided", "expired", "withdrawn"] as const;

export function Approvals() {
  const search = useSearch({ strict: false }) as { state?: State };
  const navigate = useNavigate();
  const state = search.state ?? "open";
  const found = useInfiniteQuery(approvalsQuery(state));
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page title={t.nav.approvals} about={t.approvals.about} actions={
      <select className="select" style={{ width: "auto" }} aria-label={t.common.status} value={state}
        onChange={(event) => void navigate({ to: "/approvals", search: { state: event.target.value }, replace: true })}>
        {STATES.map((each) => <option key={each} value={each}>{t.approvals.states[each]}</option>)}
      </select>
    }>
      {found.error && <Failed error={found.error} again={() => void found.refetch()} />}
      {found.isPending && !found.error && <Loading />}
      {found.data && items.length === 0 && (
        <Panel><Empty icon={<UserCheck aria-hidden />} title={state === "open" ? t.approvals.none : t.inbox.noneOfState}>{state === "open" ? t.approvals.noneAbout : undefined}</Empty></Panel>
      )}
      <div className="stack" style={{ gap: 10 }}>{items.map((item) => <One key={item.id} approval={item} />)}</div>
      {items.length > 0 && <More shown={items.length} query={found} />}
    </Page>
  );
}

function One({ approval }: { approval: Approval }) {
  const nameOf = useZapNames();
  return (
    <section className="panel" data-testid="approval" aria-label={approval.title}>
      <div className="body stack tight">
        <div className="row wrap">
          <h2 className="wrap-any">{approval.title}</h2>
          <span className="small faint" style={{ marginLeft: "auto" }}>{t.approvals.asked} <Ago at={approval.asked_at} /></span>
        </div>
        {approval.message && <p className="wrap-any" style={{ whiteSpace: "pre-wrap" }}>{approval.message}</p>}
        <p className="small soft row wrap">
          <Link to="/zaps/$id" params={{ id: approval.zap_id }}>{nameOf(approval.zap_id) ?? t.runs.deletedZap}</Link>
          <Link to="/runs/$id" params={{ id: approval.run_id }} search={{ step: approval.step_id }}>{t.approvals.run}</Link>
          {approval.state === "open" && <span>{t.approvals.until} <Moment at={approval.deadline} /></span>}
        </p>
        <Asked required={approval.required} people={approval.recipients} />
        {approval.state === "open" ? <Decide approval={approval} /> : <Decided approval={approval} />}
      </div>
    </section>
  );
}

function Decided({ approval }: { approval: Approval }) {
  if (!approval.decision) return <p className="badge">{t.approvals.states[approval.state]}</p>;
  return <p><span className={`badge ${approval.decision === "approve" ? "good" : "bad"}`}>{t.approvals.said[approval.decision]}</span> <span className="small soft">{approval.by} <Ago at={approval.at} /></span></p>;
}

interface Rules { title?: string; description?: string; type?: string | string[]; enum?: unknown[]; default?: unknown }

function Decide({ approval }: { approval: Approval }) {
  const form = approval.form as { properties?: Record<string, Rules>; required?: string[] } | null;
  const fields = Object.entries(form?.properties ?? {});
  const [given, setGiven] = useState<Record<string, string>>(() => Object.fromEntries(fields.map(([name, rules]) => [name, rules.default === undefined ? "" : said(rules.default)])));
  const [comment, setComment] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function decide(decision: "approve" | "reject") {
    setBusy(true);
    setError(undefined);
    try {
      const values = Object.fromEntries(fields.flatMap(([name, rules]) => { const value = meant(rules, given[name] ?? ""); return value === undefined ? [] : [[name, value]]; }));
      const body = { decision, comment, ...(fields.length > 0 && decision === "approve" ? { data: values } : {}) };
      const answer = await data(api.POST("/api/v1/runs/{run_id}/approvals/{step_id}", { params: { path: { run_id: approval.run_id, step_id: approval.step_id } }, body }));
      toast(answer.open ? t.approvals.noted : t.approvals.said[decision]);
      await queryClient.invalidateQueries({ queryKey: ["approvals"] });
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  }
  return (
    <>
      {fields.map(([name, rules]) => <Value key={name} name={name} rules={rules} required={form?.required?.includes(name) ?? false} text={given[name] ?? ""} set={(text) => setGiven({ ...given, [name]: text })} />)}
      <Field label={t.approvals.comment}>{(id) => <input id={id} className="input" maxLength={2_000} value={comment} onChange={(event) => setComment(event.target.value)} />}</Field>
      {error !== undefined && <Failed error={error} />}
      <div className="row wrap">
        <button type="button" className="button primary" disabled={busy} onClick={() => void decide("approve")} data-testid="approve"><Check aria-hidden />{t.approvals.approve}</button>
        <button type="button" className="button danger" disabled={busy} onClick={() => void decide("reject")} data-testid="reject"><X aria-hidden />{t.approvals.reject}</button>
      </div>
    </>
  );
}

const said = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
const typeOf = (rules: Rules) => (Array.isArray(rules.type) ? rules.type.find((one) => one !== "null") : rules.type);

/** The value that a text of the form stands for; an empty one says nothing. */
function meant(rules: Rules, text: string): unknown {
  if (typeOf(rules) === "boolean") return text === "true";
  if (text === "") return undefined;
  const chosen = rules.enum?.find((one) => said(one) === text);
  if (chosen !== undefined || typeOf(rules) === "string") return chosen ?? text;
  try { return JSON.parse(text); } catch { return text; }
}

function Value({ name, rules, required, text, set }: { name: string; rules: Rules; required: boolean; text: string; set: (text: string) => void }) {
  const label = rules.title || name;
  if (typeOf(rules) === "boolean") return <label className="check"><input type="checkbox" checked={text === "true"} onChange={(event) => set(String(event.target.checked))} />{label}</label>;
  return (
    <Field label={label} hint={rules.description}>
      {(id, described) => rules.enum ? (
        <select id={id} aria-describedby={described} className="select" value={text} onChange={(event) => set(event.target.value)}>
          <option value="" />{rules.enum.map((one) => <option key={said(one)}>{said(one)}</option>)}
        </select>
      ) : <input id={id} aria-describedby={described} className="input" required={required} value={text} inputMode={["number", "integer"].includes(typeOf(rules) ?? "") ? "decimal" : undefined} onChange={(event) => set(event.target.value)} />}
    </Field>
  );
}
