-- name: present
-- Which of these names connections have: a process that ended has none, however it ended.
select distinct application_name from pg_stat_activity where application_name = any($1::text[])
