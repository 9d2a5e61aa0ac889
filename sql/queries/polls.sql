-- name: get
-- What is known of a source.
select version, known, place, beginning, failures, problem, last_at, last_ok_at, last_new_at, empties, empties_since,
       told, told_at
from proj.polls where zap_id = $1 and source = $2

-- name: save
-- What is known of a source after one more poll, if nobody else has polled it since; null keys stay as they are.
insert into proj.polls as p (zap_id, source, tenant_id, trigger_id, version, known, place, beginning, failures, problem,
                             last_at, last_ok_at, last_new_at, empties, empties_since, told, told_at, next_at)
values ($1, $2, $3, $4, $5 + 1, coalesce($6, '\x80'::bytea), $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
on conflict (zap_id, source) do update set
    trigger_id = excluded.trigger_id, version = excluded.version, known = coalesce($6, p.known), place = excluded.place,
    beginning = excluded.beginning, failures = excluded.failures, problem = excluded.problem,
    last_at = excluded.last_at, last_ok_at = excluded.last_ok_at, last_new_at = excluded.last_new_at,
    empties = excluded.empties, empties_since = excluded.empties_since, told = excluded.told,
    told_at = excluded.told_at, next_at = excluded.next_at
where p.version = $5
returning version

-- name: health
-- How the polls of a zap went, those of its present sources first.
select trigger_id, last_at, last_ok_at, last_new_at, next_at, failures, problem
from proj.polls where zap_id = $1 and tenant_id = $2 order by next_at desc nulls last limit 20

-- name: prune
-- Sources that were not polled since a moment: so many at most.
delete from proj.polls
where ctid = any(array(select ctid from proj.polls where last_at < $1 limit $2)) and last_at < $1

-- name: claim
-- Have a timer until a moment, if it is still due at another one; false where somebody else has it.
select es.claim_timer($1, $2, $3)

-- name: forget
-- Forget the timer of a hook of which its service knows what it should.
select es.drop_timer($1)
