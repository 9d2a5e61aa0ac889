-- name: live
-- The build of each projection that the read views show, with the definition and partitions that it was made for.
select p.projection, p.version, p.definition,
       (select count(*)::int from proj.gates g where g.consumer = p.projection and g.version = p.version) as partitions
from proj.projections p

-- name: read
-- The gates of all live builds.
select g.consumer, g.partition, g.position
from proj.gates g join proj.projections p on p.projection = g.consumer and p.version = g.version

-- name: move
-- Compare and set: fewer rows than asked for means that another projector, or a rebuild, moved a gate.
-- Gates are locked in order, so that two projectors cannot deadlock, and looked at once they are held.
with held as materialized (
    select g.consumer, g.version, g.partition, u.position
    from proj.gates g
    join unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
         u(consumer, version, partition, seen, position)
      on g.consumer = u.consumer and g.version = u.version and g.partition = u.partition and g.position = u.seen
    order by 1, 2, 3 for update of g
), moved as (
    update proj.gates g set position = h.position from held h
    where g.consumer = h.consumer and g.version = h.version and g.partition = h.partition
    returning 1
)
select count(*) from moved

-- name: lock_gates
-- Hold up whoever writes to the live build, until the end of the transaction.
select g.partition, g.position from proj.gates g
join proj.projections p on p.projection = g.consumer and p.version = g.version
where g.consumer = $1 order by g.partition for update of g

-- name: live_gates
-- How far the live build has come, by partition.
select g.partition, g.position from proj.gates g
join proj.projections p on p.projection = g.consumer and p.version = g.version
where g.consumer = $1 order by g.partition

-- name: holds_all
-- Whether the live build holds everything up to a position, whatever the partition. One that reads the log by itself
-- has its gate there. For one that the topic feeds the relay has come there, and no gate is before both that position
-- and the last message of its partition: partitions without news keep their gates.
with live as (
    select p.from_topic, g.partition, g.position from proj.projections p
    left join proj.gates g on g.consumer = p.projection and g.version = p.version where p.projection = $1)
select exists (select from live) and not exists (
    select from live cross join relay.checkpoint c
    where case when from_topic
               then c.position < $2
                    or live.position < least($2, coalesce((c.offsets -> live.partition::text ->> 1)::bigint, 0))
               else coalesce(live.position, 0) < $2 end)

-- name: held_up_to
-- The position up to which the live build holds everything, whatever the partition; likewise.
select coalesce(case when g.from_topic then least(c.position, g.behind) else g.least end, 0)
from relay.checkpoint c cross join (
    select p.from_topic, min(g.position) as least,
           min(g.position) filter (where g.position < coalesce((c.offsets -> g.partition::text ->> 1)::bigint, 0)) as behind
    from proj.projections p join proj.gates g on g.consumer = p.projection and g.version = p.version
    cross join relay.checkpoint c where p.projection = $1 group by 1
) g

-- name: beyond
-- Who claims to have come further than the log, and to where: somebody wrote to these tables, or the database was
-- restored. Such a reader takes nothing more until the log has caught up with it.
with head as (select coalesce(max(last_position), 0) as position from es.commits)
select g.consumer, g.partition, g.position, head.position as head
from proj.gates g cross join head where g.position > head.position
union all
select 'relay', -1, c.position, head.position from relay.checkpoint c cross join head where c.position > head.position
order by 1, 2

-- name: lower_gates
-- Put gates of the runner that are beyond the log back to a position; it does again what the topic brings.
update proj.gates set position = $1
where consumer = 'runner' and position > (select coalesce(max(last_position), 0) from es.commits)

-- name: ordering_key_at
-- The ordering key of the event at a position.
select ordering_key from es.events where position = $1

-- name: parked_streams
-- Streams of which a build has parked an event.
select distinct stream_id from proj.parked where consumer = $1 and version = $2

-- name: park
insert into proj.parked (consumer, version, stream_id, position, type, error)
select $1, $2, u.stream_id, u.position, u.type, $6
from unnest($3::uuid[], $4::bigint[], $5::text[]) u(stream_id, position, type)
on conflict do nothing

-- name: parked
-- What a projection could not take, oldest first.
select k.stream_id, k.position, k.type, k.error, k.parked_at from proj.parked k
join proj.projections p on p.projection = k.consumer and p.version = k.version
where k.consumer = $1 order by k.position

-- name: parked_count
select count(*) from proj.parked k
join proj.projections p on p.projection = k.consumer and p.version = k.version
where k.consumer = $1

-- name: parked_page
-- The next positions that a build has parked: so many at most, and so many bytes of payload, but one at least.
select p.position from (
    select k.position, sum(coalesce(octet_length(e.data), 0)) over parked as total, rank() over parked as place
    from proj.parked k left join es.events e using (position)
    where k.consumer = $1 and k.version = $2 and k.position > $3
    window parked as (order by k.position) order by k.position limit $4
) p
where p.total <= $5 or p.place = 1 order by p.position

-- name: unpark
-- Take parked events out, to be tried again in order.
with gone as (
    delete from proj.parked where consumer = $1 and version = $2 and position = any($3::bigint[]) returning position
)
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       '{}'::bytea, data
from es.events where position in (select position from gone) order by position

-- name: lock_rebuild
-- One rebuild or verification of a projection at a time; freed when its connection closes.
select pg_advisory_lock(7302, hashtext($1))

-- name: try_lock_rebuild
-- The same until the end of the transaction, for who changes rows of the live build; false where one is going on.
select pg_try_advisory_xact_lock(7302, hashtext($1))

-- name: try_lock_following
-- One process follows the log for a read model by itself; freed when its connection closes.
select pg_try_advisory_lock(7303, hashtext($1))

-- name: begin_build
-- An empty schema for a new build; leftovers of one that was cut short go. Gives the build's number.
select proj.begin_build($1)

-- name: enter_build
-- Unqualified table names mean this build's from now on, on this connection.
select set_config('search_path', proj.build_schema($1, $2), false)

-- name: commit_durably
-- For this transaction, and with it all that the session committed before.
select set_config('synchronous_commit', 'on', true)

-- name: read_handled
-- A page of the log's events of some types, after a position and up to another. A projection sees no metadata: the
-- topic's messages do not carry it whole either.
select position, kind, stream_id, version, tenant_id, ordering_key, event_id, type, schema_version, recorded_at,
       '{}'::bytea, data
from es.page($1, $2, $4, $5, $3::text[])

-- name: switch_build
-- Let the read view show the build, with all its gates at one position, and retire the build before it.
select proj.switch_build($1, $2, $3, $4, $5)

-- name: say_source
-- Whether the topic feeds a read model.
update proj.projections set from_topic = $2 where projection = $1 and from_topic <> $2

-- name: drop_build
select proj.drop_build($1, $2)

-- name: differences
-- Up to five rows on each side in which a build and the live read model differ.
select side, content from proj.differences($1, $2)
