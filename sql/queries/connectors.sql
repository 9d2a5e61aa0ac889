-- name: add_connector
-- Nothing where the version is there already.
insert into proj.connectors (tenant_id, name, version, number, source, title, description, icon, kinds, file, sha256,
                             actions)
select $1, $2, $3, coalesce(max(c.number), 0) + 1, $4, $5, $6, $7, $8, $9, $10, $11
from proj.connectors c where c.tenant_id = $1 and c.name = $2
on conflict (tenant_id, name, version) do nothing
returning number

-- name: add_connector_actions
insert into proj.connector_actions (tenant_id, name, version, id, document, item)
select $1, $2, $3, a.id, a.document, a.item from unnest($4::text[], $5::bytea[], $6::bytea[]) a(id, document, item)

-- name: list_connectors
-- The newest version of each.
select distinct on (name) name, version, source, title, description, icon, kinds, actions, created_at
from proj.connectors where tenant_id = $1 order by name, number desc

-- name: get_connector
-- One version, or the newest.
select name, version, source, title, description, icon, kinds, actions, created_at, file, sha256
from proj.connectors where tenant_id = $1 and name = $2 and ($3::text is null or version = $3)
order by number desc limit 1

-- name: connector_versions
select version from proj.connectors where tenant_id = $1 and name = $2 order by number desc

-- name: connectors_stamp
-- Another value whenever a version is added.
select count(*)::text || ' ' || coalesce(max(created_at)::text, '') from proj.connectors where tenant_id = $1

-- name: connector_items
-- Of the newest version of each, with commas between them: one value, as thousands of rows cost more than what is in them.
select string_agg(a.item, ','::bytea order by a.name, a.id)
from (select distinct on (name) name, version from proj.connectors where tenant_id = $1 order by name, number desc) c
join proj.connector_actions a on a.tenant_id = $1 and a.name = c.name and a.version = c.version

-- name: connector_documents
-- Of each action the version that is named, else the newest there was at a moment, else the first.
select w.type, a.document
from unnest($2::text[], $3::text[], $4::text[], $5::text[]) w(type, name, id, version)
cross join lateral (
    select c.version from proj.connectors c
    where c.tenant_id = $1 and c.name = w.name and (w.version is null or c.version = w.version)
    order by c.created_at <= $6 desc, case when c.created_at <= $6 then c.number else -c.number end desc limit 1
) v
join proj.connector_actions a on a.tenant_id = $1 and a.name = w.name and a.version = v.version and a.id = w.id

-- name: connectors_size
select count(*) as versions, coalesce(sum(octet_length(file)), 0) as bytes from proj.connectors where tenant_id = $1
