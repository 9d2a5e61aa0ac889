-- Files: bytes beside the log, which must be deletable, and would be too large for it. A file belongs to one stream: a run,
-- or a request that is held. The log names each file that anybody may use; a file that it does not name after a while
-- was left behind by a crash, and goes.
-- sha256: null while the content still comes. in_store: its bytes are in an object store, under its id. settled: the log
-- was seen to name it.
create table proj.files (
    id           uuid primary key,
    tenant_id    uuid not null,
    owner_id     uuid not null,
    filename     text not null,
    content_type text not null,
    size         bigint not null default 0,
    sha256       bytea,
    in_store     boolean not null,
    settled      boolean not null default false,
    began_at     timestamptz not null
);
create index files_owner on proj.files (owner_id);
create index files_unsettled on proj.files (began_at) where not settled;

-- Compressed content would only be compressed again.
create table proj.file_chunks (
    file_id uuid not null references proj.files (id) on delete cascade,
    number  int not null,
    content bytea not null,
    primary key (file_id, number)
);
alter table proj.file_chunks alter column content set storage external;

-- Bytes of a tenant's files.
create table proj.file_rooms (
    tenant_id uuid primary key,
    bytes     bigint not null
) with (fillfactor = 50);

-- Objects whose file is gone, until they are deleted, too.
create table proj.gone_objects (
    file_id   uuid primary key,
    tenant_id uuid not null
);

select es.grant_app();
