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
    rebuilt_at timestamptz not null default now()
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
