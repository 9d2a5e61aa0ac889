-- How far each reader of the log has come.

create schema relay;

-- The relay's one row. offsets: partition → [offset of the last acknowledged batch, position of its last message].
-- epoch rises with each leader; a write with an old epoch changes nothing, which tells a deposed leader so.
-- rewind_to: somebody asks for everything after this position to be published again.
create table relay.checkpoint (
    lane       smallint primary key,
    epoch      bigint not null default 0,
    position   bigint not null default 0,
    offsets    jsonb not null default '{}',
    rewind_to  bigint,
    updated_at timestamptz not null default now()
) with (fillfactor = 50);
insert into relay.checkpoint (lane) values (0);

create schema proj;

-- consumer: a projection's name, or 'runner'. position: every message of this partition up to it has had its effect.
create table proj.gates (
    consumer  text not null,
    version   int not null,
    partition int not null,
    position  bigint not null,
    primary key (consumer, version, partition)
) with (fillfactor = 50);

-- Which version of each projection the read views show.
create table proj.projections (
    projection text primary key,
    version    int not null,
    definition int not null,
    built_at   timestamptz not null default now()
);

-- Events that a projection could not take, with all later events of their stream.
create table proj.parked (
    consumer  text not null,
    version   int not null,
    stream_id uuid not null,
    position  bigint not null,
    type      text not null,
    error     text not null,
    parked_at timestamptz not null default now(),
    primary key (consumer, version, stream_id, position)
);

create schema rm;

-- Each build of a projection has a schema of its own; the view rm.<projection> shows the live one.
create function proj.build_schema(_projection text, _version int) returns text language sql immutable as $$
    select format('rm_%s_v%s', _projection, _version)
$$;

create function proj.drop_build(_projection text, _version int) returns void language plpgsql as $$
begin
    execute format('drop schema if exists %I cascade', proj.build_schema(_projection, _version));
end $$;

-- Whatever is not the live build was left by a crash.
create function proj.begin_build(_projection text) returns int language plpgsql as $$
declare
    live int := coalesce((select version from proj.projections where projection = _projection), 0);
    found record;
begin
    for found in
        select substring(nspname from '_v(\d+)$')::int as version from pg_namespace
        where nspname ~ format('^rm_%s_v\d+$', _projection)
    loop
        if found.version <> live then
            perform proj.drop_build(_projection, found.version);
        end if;
    end loop;
    delete from proj.parked where consumer = _projection and version <> live;
    execute format('create schema %I', proj.build_schema(_projection, live + 1));
    return live + 1;
end $$;

create function proj.switch_build(_projection text, _version int, _definition int, _position bigint, _partitions int)
returns void language plpgsql as $$
begin
    -- First the gates, as the projector does: whoever holds them finishes, whoever comes later finds them gone.
    delete from proj.gates where consumer = _projection;
    insert into proj.gates (consumer, version, partition, position)
    select _projection, _version, p, _position from generate_series(0, _partitions - 1) p;
    delete from proj.parked where consumer = _projection and version <> _version;
    execute format('drop view if exists rm.%I', _projection);
    execute format('create view rm.%I as select * from %I.%I', _projection,
                   proj.build_schema(_projection, _version), _projection);
    insert into proj.projections (projection, version, definition) values (_projection, _version, _definition)
    on conflict (projection) do update
    set version = excluded.version, definition = excluded.definition, built_at = now();
end $$;

-- Rows in which a scratch build and the live read model differ, as text, with the side that has them.
create function proj.differences(_projection text, _version int)
returns table (side text, content text) language plpgsql
set enable_seqscan = on
as $$
begin
    return query execute format(
        $q$(select 'only in the read model', d::text from (select * from rm.%1$I except select * from %2$I.%1$I) d limit 5)
           union all
           (select 'only in the log', d::text from (select * from %2$I.%1$I except select * from rm.%1$I) d limit 5)$q$,
        _projection, proj.build_schema(_projection, _version));
end $$;
