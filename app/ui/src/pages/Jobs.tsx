/** Jobs: commands on many runs, as they go on. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ListChecks } from "lucide-react";
import type { Job } from "../api/client";
import { jobsQuery, useZapNames } from "../api/queries";
import { Empty, Failed, Loading, Page, Panel } from "../parts/controls";
import { More } from "../parts/More";
import { Ago } from "../parts/time";
import { JobLine } from "../run/Bulk";
import { t } from "../texts";

export function Jobs() {
  const jobs = useInfiniteQuery(jobsQuery);
  const items = jobs.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page title={t.nav.jobs} about={t.jobs.about}>
      {jobs.error && <Failed error={jobs.error} again={() => void jobs.refetch()} />}
      {jobs.isPending && !jobs.error && <Loading />}
      {jobs.data && items.length === 0 && (
        <Panel><Empty icon={<ListChecks aria-hidden />} title={t.jobs.none} action={<Link className="button" to="/runs">{t.nav.runs}</Link>}>{t.jobs.noneAbout}</Empty></Panel>
      )}
      <div className="stack" style={{ gap: 10 }}>{items.map((job) => <One key={job.id} job={job} />)}</div>
      {items.length > 0 && <More shown={items.length} query={jobs} />}
    </Page>
  );
}

function One({ job }: { job: Job }) {
  const nameOf = useZapNames();
  const given = Object.entries(job.filter).filter(([, value]) => value !== null && value !== false);
  return (
    <section className="panel" data-testid="job" aria-label={t.jobs.kinds[job.kind]}>
      <div className="body stack tight">
        <div className="row wrap">
          <h2>{t.jobs.kinds[job.kind]}</h2>
          {given.map(([name, value]) => (
            <span key={name} className="badge long">{(t.jobs.filters as Record<string, string>)[name] ?? name}: {name === "zap_id" ? (nameOf(String(value)) ?? t.runs.deletedZap) : String(value)}</span>
          ))}
          <span className="small faint" style={{ marginLeft: "auto" }}><Ago at={job.requested_at} /></span>
        </div>
        <JobLine job={job} />
      </div>
    </section>
  );
}
