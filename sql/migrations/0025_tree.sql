-- The Merkle tree over the log, which is made behind it, and can be made again; and the checkpoints that were signed.

-- As C2SP tlog-tiles: 256 hashes, each the root of a whole tile of the level below. Level 0, the leaves, is not stored, as
-- it follows from the rows of the log, dropped ones included. The last tile of a level grows.
create table proj.tiles (
    level  smallint not null check (level > 0),
    index  bigint not null,
    hashes bytea not null,
    primary key (level, index)
);
-- key: the verifier's key, to which the signature belongs. delivered: it was brought to where the settings say.
create table proj.checkpoints (
    size      bigint primary key,
    signed_at timestamptz not null,
    note      text not null,
    key       text not null,
    delivered boolean not null
);
create index checkpoints_undelivered on proj.checkpoints (size) where not delivered;
select es.grant_app();
