-- name: begin_file
insert into proj.files (id, tenant_id, owner_id, filename, content_type, in_store, began_at)
values ($1, $2, $3, $4, $5, $6, $7)

-- name: room_taken
select coalesce((select bytes from proj.file_rooms where tenant_id = $1), 0)

-- name: keep_chunk
insert into proj.file_chunks (file_id, number, content) values ($1, $2, $3)

-- name: seal_file
-- Nothing comes back where the file is gone, or the tenant's room is full: whoever asks then rolls back.
with sealed as (
    update proj.files set size = $2, sha256 = $3 where id = $1 and sha256 is null returning tenant_id, size
)
insert into proj.file_rooms (tenant_id, bytes) select tenant_id, size from sealed
on conflict (tenant_id) do update set bytes = file_rooms.bytes + excluded.bytes
where file_rooms.bytes + excluded.bytes <= $4
returning bytes

-- name: file
select id, sha256, size, content_type, filename, owner_id, in_store from proj.files
where id = $1 and tenant_id = $2 and sha256 is not null

-- name: chunk
select content from proj.file_chunks where file_id = $1 and number = $2

-- name: forget_files
-- Some files, and all of some streams, with their bytes in the database; of an object store those are deleted afterwards.
-- Gives how many.
with gone as (
    delete from proj.files where id = any($1) or owner_id = any($2) returning id, tenant_id, size, in_store
), queued as (
    insert into proj.gone_objects (file_id, tenant_id) select id, tenant_id from gone where in_store
    on conflict do nothing
), freed as (
    update proj.file_rooms r set bytes = greatest(0, r.bytes - g.size)
    from (select tenant_id, sum(size) as size from gone group by tenant_id) g where r.tenant_id = g.tenant_id
)
select count(*) from gone

-- name: files_of_requests
-- The files of the requests of a month.
select f.id from proj.files f
where f.owner_id >= es.first_uuid_at($1::date at time zone 'UTC')
  and f.owner_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')
  and exists (select from es.events e where e.kind = 2 and e.stream_id = f.owner_id)

-- name: gone_objects
select file_id, tenant_id from proj.gone_objects order by file_id limit $1

-- name: object_deleted
delete from proj.gone_objects where file_id = any($1)

-- name: hand_over_files
-- From a request that was held to the run that it became, which has to name them.
update proj.files set owner_id = $2, settled = false where owner_id = $1

-- name: doubtful_files
-- Files behind an id that began before a moment and were not seen to be named by the log: whether it names them, and
-- whether that is certain, because their stream has ended or never began.
select f.id, f.began_at,
       exists (select from es.events e where e.kind = any($4) and e.stream_id = f.owner_id
               and position(convert_to(f.id::text, 'UTF8') in e.data) > 0) as is_named,
       not exists (select from es.events e where e.kind = any($4) and e.stream_id = f.owner_id)
       or exists (select from es.events e where e.kind = any($4) and e.stream_id = f.owner_id and e.type = any($5))
           as is_over
from proj.files f where not f.settled and f.began_at < $1 and (f.began_at, f.id) > ($2, $3)
order by f.began_at, f.id limit $6

-- name: settle_files
update proj.files set settled = true where id = any($1)
