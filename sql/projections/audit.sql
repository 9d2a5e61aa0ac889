-- name: create
-- One row per entry, in the order of the log. The event itself has the rest: from where, why, and its hash.
create table audit (
    tenant_id   uuid not null,
    position    bigint not null,
    at          timestamptz not null,
    type        text not null,
    kind        smallint not null,
    stream_id   uuid not null,
    version     int not null,
    actor       text not null,
    entity      text not null,
    entity_id   uuid not null,
    name        text not null,
    told        text not null,
    changes     text,
    cut         boolean not null,
    words       tsvector not null generated always as (to_tsvector('simple'::regconfig, told)) stored,
    primary key (tenant_id, position)
);
create index audit_actor on audit (tenant_id, actor, position);
create index audit_entity on audit (tenant_id, entity_id, position);
create index audit_type on audit (tenant_id, type, position);
create index audit_words on audit using gin (words);

-- name: metadata
-- Who caused some events, and why: a projection's events do not come with it.
select e.position, e.meta
from unnest($1::smallint[], $2::uuid[], $3::int[]) u(kind, stream_id, version)
cross join lateral (
    select position, meta from es.events e
    where e.kind = u.kind and e.stream_id = u.stream_id and e.version = u.version limit 1
) e

-- name: earlier
-- What some streams last said before a position, in events of some types; types come with commas between them.
select u.place, p.data
from unnest($1::uuid[], $2::bigint[], $3::text[]) with ordinality u(stream_id, position, types, place)
cross join lateral (
    select e.data from es.events e
    where e.kind = 0 and e.stream_id = u.stream_id and e.position < u.position
      and e.type = any(string_to_array(u.types, ','))
    order by e.version desc limit 1
) p

-- name: insert
-- New rows, sorted by key, so that concurrent writers cannot deadlock.
insert into audit (tenant_id, position, at, type, kind, stream_id, version, actor, entity, entity_id, name, told,
                   changes, cut)
select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::smallint[], $6::uuid[], $7::int[],
                     $8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::bool[])
on conflict (tenant_id, position) do nothing

-- name: forget_month
-- The rows of requests whose month is about to be dropped from the log.
delete from rm.audit where kind = 2
  and stream_id >= es.first_uuid_at($1::date at time zone 'UTC')
  and stream_id < es.first_uuid_at(($1::date + interval '1 month') at time zone 'UTC')

-- name: entries
-- Entries in full, with what their events say, and the names that people and their API keys have.
select a.position, a.at, a.type, a.actor, u.name as actor_name, a.entity, a.entity_id, a.name, a.told, a.changes, a.cut,
       e.meta, e.hash
from unnest($2::bigint[]) w(position)
join rm.audit a on a.tenant_id = $1 and a.position = w.position
left join es.events e on e.kind = a.kind and e.stream_id = a.stream_id and e.version = a.version
left join iam.users u on u.user_id = case when a.actor like 'user:%' then substr(a.actor, 6)::uuid end
order by a.position

-- name: owner_name
-- What the person of a workspace is called.
select name from iam.users where user_id = $1
