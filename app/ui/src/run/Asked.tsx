/** Who is asked, and what each has said. */
import { Ago } from "../parts/time";
import { t } from "../texts";

interface Person { email?: string | null; role?: string | null; decision?: "approve" | "reject" | null; by?: string | null; at?: string | null; comment?: string | null; mail?: string | null }

export function Asked({ people, required }: { people: readonly Person[]; required: number }) {
  return (
    <ul className="stack close" aria-label={t.run.approval}>
      {people.map((person, index) => (
        <li key={person.email ?? person.role ?? index} className="row wrap small">
          <span className="wrap-any">{person.email ?? t.approvals.role(person.role ?? "")}</span>
          {person.decision ? (
            <>
              <span className={`badge ${person.decision === "approve" ? "good" : "bad"}`}>{t.approvals.said[person.decision]}</span>
              <span className="faint">{person.by} <Ago at={person.at} /></span>
              {person.comment && <span className="soft wrap-any">“{person.comment}”</span>}
            </>
          ) : <span className="badge">{t.approvals.silent}</span>}
          {person.mail && <span className="wrong-text">{person.mail}</span>}
        </li>
      ))}
      {required > 1 && <li className="small faint">{t.approvals.required(required)}</li>}
    </ul>
  );
}
