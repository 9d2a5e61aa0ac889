-- name: enter
-- Runs of serial zaps join the queue of their ordering key; one that is there already stays where it is.
insert into proj.serial_runs (ordering_key, position, run_id)
select * from unnest($1::uuid[], $2::bigint[], $3::uuid[]) on conflict do nothing

-- name: first
-- The run whose turn it is.
select position, run_id from proj.serial_runs where ordering_key = $1 order by position limit 1

-- name: ahead
-- The runs before one, oldest first.
select position, run_id from proj.serial_runs where ordering_key = $1 and position < $2 order by position

-- name: leave
-- A run has ended.
delete from proj.serial_runs where ordering_key = $1 and position = $2

-- name: keys
-- The queues that hold runs.
select distinct ordering_key from proj.serial_runs
