-- name: create
-- number: of the version, 0 for the draft. places: the ids of steps and triggers, as JSON.
create table connection_uses (
    tenant_id     uuid not null,
    connection_id uuid not null,
    zap_id        uuid not null,
    number        int not null,
    places        jsonb not null,
    primary key (tenant_id, connection_id, zap_id, number)
);
create index connection_uses_of_zap on connection_uses (zap_id, number);

-- name: forget
-- What drafts named that were replaced (number 0), or all that deleted zaps named (null).
delete from connection_uses c using unnest($1::uuid[], $2::uuid[], $3::int[]) u(tenant_id, zap_id, number)
where c.tenant_id = u.tenant_id and c.zap_id = u.zap_id and c.number = coalesce(u.number, c.number)

-- name: insert
-- Keys come sorted, so that concurrent writers cannot deadlock.
insert into connection_uses (tenant_id, connection_id, zap_id, number, places)
select tenant_id, connection_id, zap_id, number, places::jsonb
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[])
     u(tenant_id, connection_id, zap_id, number, places)
on conflict (tenant_id, connection_id, zap_id, number) do update set places = excluded.places

-- name: uses
select z.zap_id, z.name, z.status, case when c.number = 0 then 'draft' else 'live' end,
       array(select jsonb_array_elements_text(c.places))
from rm.connection_uses c join rm.zap_list z using (tenant_id, zap_id)
where c.tenant_id = $1 and c.connection_id = $2 and c.number in (0, z.version) and z.status <> 'deleted'
order by z.zap_id desc, c.number desc limit $3

-- name: count_uses
select c.connection_id, count(distinct c.zap_id)::int
from rm.connection_uses c join rm.zap_list z using (tenant_id, zap_id)
where c.tenant_id = $1 and c.connection_id = any($2::uuid[]) and c.number in (0, z.version) and z.status <> 'deleted'
group by c.connection_id
