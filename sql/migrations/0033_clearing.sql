-- Up to which erasure the topic holds nothing any more of what was erased.
alter table relay.checkpoint add column cleared bigint not null default 0;
