-- name: files_of_noted
-- Of the runs that a transaction has noted: files in the database, their bytes, and those in an object store.
select count(*) filter (where not f.in_store), coalesce(sum(f.size) filter (where not f.in_store), 0)::bigint,
       count(*) filter (where f.in_store)
from kept.expired g join proj.files f on f.owner_id = g.run_id and f.sha256 is not null

-- name: next_of_noted
-- The next of those in the database.
select f.id, f.owner_id, f.tenant_id, f.filename, f.content_type, f.size, f.sha256, f.began_at
from kept.expired g join proj.files f on f.owner_id = g.run_id and f.sha256 is not null and not f.in_store
where f.id > $1 order by f.id limit $2

-- name: is_named
-- Whether a run names a file by its id and its hash.
select exists (select from es.events e where e.kind = $1 and e.stream_id = $2 and e.tenant_id = $3
               and position(convert_to($4, 'UTF8') in e.data) > 0 and position(convert_to($5, 'UTF8') in e.data) > 0)

-- name: file_back
-- Begin a file anew as it was; false where it is there.
with back as (
    insert into proj.files (id, tenant_id, owner_id, filename, content_type, size, sha256, in_store, settled, began_at)
    values ($1, $2, $3, $4, $5, $6, $7, false, true, $8) on conflict (id) do nothing returning tenant_id, size
), room as (
    insert into proj.file_rooms (tenant_id, bytes) select tenant_id, size from back
    on conflict (tenant_id) do update set bytes = file_rooms.bytes + excluded.bytes
)
select exists (select from back)
