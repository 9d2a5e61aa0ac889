-- name: gates
-- The runner's watermarks of some partitions.
select partition, position from proj.gates where consumer = 'runner' and version = 1 and partition = any($1::int[])

-- name: set_gates
-- Watermarks only rise; a former owner's late write changes nothing.
insert into proj.gates as g (consumer, version, partition, position)
select 'runner', 1, u.partition, u.position from unnest($1::int[], $2::bigint[]) u(partition, position)
on conflict (consumer, version, partition) do update set position = excluded.position
where g.position < excluded.position
