-- name: live
-- The build of each projection that the read views show.
select projection, version, definition from proj.projections

-- name: ensure
-- Gates of partitions that were never read start before the first event.
insert into proj.gates (consumer, version, partition, position)
select c.consumer, c.version, p.partition, 0
from unnest($1::text[], $2::int[]) c(consumer, version) cross join unnest($3::int[]) p(partition)
on conflict do nothing

-- name: read
-- The gates of some builds in some partitions.
select g.consumer, g.partition, g.position
from proj.gates g join unnest($1::text[], $2::int[]) c(consumer, version) using (consumer, version)
where g.partition = any($3::int[])

-- name: move
-- Compare and set: fewer rows than asked for means that another projector, or a rebuild, moved a gate.
with wanted as (
    select * from unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
                  u(consumer, version, partition, seen, position)
    order by consumer, version, partition
), moved as (
    update proj.gates g set position = u.position from wanted u
    where g.consumer = u.consumer and g.version = u.version and g.partition = u.partition and g.position = u.seen
    returning 1
)
select count(*) from moved

-- name: parked_streams
select distinct consumer, stream_id from proj.parked p
where (consumer, version) in (select * from unnest($1::text[], $2::int[]))

-- name: park
insert into proj.parked (consumer, version, stream_id, position, type, error)
values ($1, $2, $3, $4, $5, $6) on conflict do nothing

-- name: parked
-- What a projection could not take, oldest first.
select p.stream_id, p.position, p.type, p.error, p.parked_at from proj.parked p
join proj.projections v on v.projection = p.consumer and v.version = p.version
where p.consumer = $1 order by p.position

-- name: unpark
delete from proj.parked p using proj.projections v
where v.projection = p.consumer and v.version = p.version and p.consumer = $1 and p.stream_id = $2

-- name: position_of
-- The ordering key of the event at a position.
select ordering_key from es.events where position = $1

-- name: has_reached
-- Whether a projection has taken everything up to a position in the partition of that position.
select g.position >= $3 from proj.gates g
join proj.projections v on v.projection = g.consumer and v.version = g.version
where g.consumer = $1 and g.partition = $2

-- name: lock_rebuild
-- One rebuild of a projection at a time; freed when its connection closes.
select pg_advisory_lock(7302, hashtext($1))

-- name: begin_build
-- An empty schema for a new build; leftovers of one that was cut short go. Gives the build's number.
select proj.begin_build($1)

-- name: enter_build
-- Unqualified table names mean this build's from now on, on this connection.
select set_config('search_path', proj.build_schema($1, $2), false)

-- name: switch_build
-- Let the read view show the build, with all its gates at one position, and retire the build before it.
select proj.switch_build($1, $2, $3, $4, $5)

-- name: drop_build
select proj.drop_build($1, $2)

-- name: live_gates
-- How far the live build has come, by partition.
select g.partition, g.position from proj.gates g
join proj.projections v on v.projection = g.consumer and v.version = g.version
where g.consumer = $1

-- name: lock_gates
-- Hold the live projector while a build is compared with it.
select g.partition, g.position from proj.gates g
join proj.projections v on v.projection = g.consumer and v.version = g.version
where g.consumer = $1 order by g.partition for update of g

-- name: differences
-- Up to five rows on each side in which a build and the live read model differ.
select side, content from proj.differences($1, $2)

-- name: partition_count
-- As many partitions as the live build has gates: a switch makes one for each.
select count(*)::int from proj.gates g
join proj.projections v on v.projection = g.consumer and v.version = g.version
where g.consumer = $1
