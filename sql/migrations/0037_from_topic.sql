-- Whether the topic feeds a read model: one that follows the log by itself, as one partition, says so when it is built.
alter table proj.projections add column from_topic boolean not null default true;
update proj.projections set from_topic = false where projection = 'run_search';
