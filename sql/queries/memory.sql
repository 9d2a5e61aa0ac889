-- name: remembered
select value, version, expires_at from proj.memory_values where tenant_id = $1 and scope = $2 and key = $3

-- name: take_turn
-- Changes of one tenant come one after the other, and each has a number: whoever asks holds the row until it commits.
insert into proj.memory_totals (tenant_id, bytes, changes) values ($1, 0, 1)
on conflict (tenant_id) do update set changes = memory_totals.changes + 1
returning bytes, changes

-- name: change_made
select output from proj.memory_changes where tenant_id = $1 and operation = $2

-- name: keep_change
insert into proj.memory_changes (tenant_id, operation, output, made_at) values ($1, $2, $3, $4)

-- name: remember
insert into proj.memory_values (tenant_id, scope, key, value, version, size, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant_id, scope, key) do update
set value = excluded.value, version = excluded.version, size = excluded.size, expires_at = excluded.expires_at

-- name: forget
delete from proj.memory_values where tenant_id = $1 and scope = $2 and key = $3

-- name: size_of
-- What an entry takes, also one that has expired and is not pruned yet.
select coalesce((select size from proj.memory_values where tenant_id = $1 and scope = $2 and key = $3), 0)

-- name: weigh
update proj.memory_totals set bytes = greatest(0, bytes + $2) where tenant_id = $1

-- name: see
-- Keys that are seen for the first time since they expired, or by the same step before; and whether each takes room.
insert into proj.memory_seen (tenant_id, scope, name, key, operation, expires_at)
select $1, $2, $3, key, $5, $6 from unnest($4::bytea[]) key
on conflict (tenant_id, scope, name, key) do update
set operation = excluded.operation, expires_at = excluded.expires_at
where memory_seen.expires_at <= $7 or memory_seen.operation = excluded.operation
returning key, (xmax = 0) as is_new

-- name: prune_memory
-- Entries that have expired: so many at most. What they took is counted anew by recount_memory.
delete from proj.memory_values
where ctid = any(array(select ctid from proj.memory_values where expires_at <= $1 limit $2)) and expires_at <= $1

-- name: prune_memory_seen
delete from proj.memory_seen
where ctid = any(array(select ctid from proj.memory_seen where expires_at <= $1 limit $2)) and expires_at <= $1

-- name: prune_memory_changes
-- What steps have changed before a moment, after which none of them is tried again: so many at most.
delete from proj.memory_changes
where ctid = any(array(select ctid from proj.memory_changes where made_at < $1 limit $2)) and made_at < $1

-- name: recount_memory
-- What each tenant really has. It takes the tenant's turn first, as changes do, so none is lost and none waits for it.
update proj.memory_totals t set bytes =
    coalesce((select sum(v.size) from proj.memory_values v where v.tenant_id = t.tenant_id), 0)
    + 100 * (select count(*) from proj.memory_seen s where s.tenant_id = t.tenant_id)
where t.tenant_id = $1

-- name: who_remembers
select tenant_id from proj.memory_totals
