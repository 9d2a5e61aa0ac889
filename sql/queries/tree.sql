-- name: leaves
-- The hashes of the leaves after a position and up to another, joined; and how many there are. Their input is put
-- together as domain/proof/merkle.py does.
select count(*), coalesce(string_agg(sha256('\x00'::bytea || input), '' order by position), '')
from (
    select position, int8send(position) || int4send(version)
           || int8send((extract(epoch from recorded_at) * 1000000)::bigint) || hash as input
    from es.events where position > $1 and position <= $2
    union all
    select position, int8send(position) || int4send(version)
           || int8send((extract(epoch from recorded_at) * 1000000)::bigint) || hash
    from es.dropped_between($1, $2)
) leaf

-- name: tile_part
-- Some of the hashes of a tile: so many after so many.
select substring(hashes from 32 * $3::int + 1 for 32 * $4::int) from proj.tiles where level = $1 and index = $2

-- name: tiled
-- How many whole tiles of leaves there are, which is how many hashes level 1 has.
select coalesce((select 256 * index + octet_length(hashes) / 32 from proj.tiles where level = 1
                 order by index desc limit 1), 0)::bigint

-- name: grow_tile
-- Add hashes behind the $4 that a tile has; nothing where somebody else has done that. Gives all its hashes.
insert into proj.tiles as t (level, index, hashes) select $1::smallint, $2::bigint, $3::bytea
where $4::int = 0 or exists (select from proj.tiles where level = $1 and index = $2)
on conflict (level, index) do update set hashes = t.hashes || excluded.hashes
where octet_length(t.hashes) = 32 * $4::int
returning hashes

-- name: checkpoints
-- The newest checkpoints, before one of some size.
select size, signed_at, note, key from proj.checkpoints
where size < coalesce($1::bigint, 9223372036854775807) order by size desc limit $2

-- name: checkpoint
select size, signed_at, note, key from proj.checkpoints where size = $1

-- name: add_checkpoint
insert into proj.checkpoints (size, signed_at, note, key, delivered) values ($1, $2, $3, $4, $5)
on conflict (size) do nothing

-- name: undelivered
-- The newest checkpoints that nobody has been given yet, the oldest of them first.
select size, note from (
    select size, note from proj.checkpoints where not delivered order by size desc limit $1
) c order by size

-- name: delivered
-- These, and all before them: who has a later checkpoint needs no earlier one.
update proj.checkpoints set delivered = true where size <= $1 and not delivered

-- name: event_to_prove
-- A tenant's event: all that its leaf is made of, and what its own hash is made of.
select position, version, recorded_at, hash, kind, schema_version, stream_id, tenant_id, ordering_key, event_id, type,
       meta, data, exists (select from es.forgotten_events f where f.position = $1) as forgotten
from es.events where position = $1 and tenant_id = coalesce($2::uuid, tenant_id)

-- name: position_of_event
-- Where the event with an id is. There is no index of ids, but they carry the time when they were made, and the log
-- is in order of time; looked at are the events that were recorded between two moments, and no more than $5.
select position from (
    select position, event_id, tenant_id from es.events
    where position > coalesce((select last_position from es.commits where recorded_at < $3 order by recorded_at desc, last_position desc limit 1), 0)
      and position <= coalesce((select last_position from es.commits where recorded_at > $4 order by recorded_at, last_position limit 1), 9223372036854775807)
    order by position limit $5
) e where event_id = $1 and tenant_id = $2
