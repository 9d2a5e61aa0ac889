-- name: put
-- Results of a job. After a crash of its worker some come again.
insert into proj.backtests as b (job_id, tenant_id, run_id, verdict, then_status, now_status, steps, comparison)
select $1, $2, run_id, verdict, then_status, now_status, steps::jsonb, comparison
from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[])
     u(run_id, verdict, then_status, now_status, steps, comparison)
on conflict (job_id, run_id) do update set verdict = excluded.verdict, then_status = excluded.then_status,
    now_status = excluded.now_status, steps = excluded.steps, comparison = excluded.comparison

-- name: drop_erased
-- Results of those runs whose payloads were forgotten.
delete from proj.backtests b where b.run_id = any($1::uuid[]) and exists (
    select from es.events e join es.forgotten_events f using (position)
    where e.kind = 1 and e.stream_id = b.run_id and e.version = 1
)

-- name: page
-- A job's results by run, oldest run first.
select comparison from proj.backtests
where job_id = $1 and tenant_id = $2 and ($3::text is null or verdict = $3) and ($4::uuid is null or run_id > $4)
order by run_id limit $5

-- name: counts
-- How many runs went which way, then and now.
select verdict, then_status, now_status, count(*) from proj.backtests
where job_id = $1 and tenant_id = $2
group by 1, 2, 3 order by 4 desc, 1, 2, 3

-- name: steps
-- In how many runs each step differs.
select step_id, count(*) from proj.backtests, jsonb_array_elements_text(steps) s(step_id)
where job_id = $1 and tenant_id = $2
group by 1 order by 2 desc, 1 limit 200

-- name: prune
-- Results from before a moment, some at a time.
delete from proj.backtests where (job_id, run_id) in (
    select job_id, run_id from proj.backtests where made_at < $1 order by made_at limit $2
)
