-- name: stray
-- An event beyond the last commit. One statement sees appends whole, so one that goes on is not taken for a stray.
select position from es.events
where position > (select last_position from es.commits order by last_position desc limit 1)
order by position limit 1

-- name: holes
-- The first event of the stream, earliest in the log, whose versions are not 1, 2, 3 …; the primary key keeps them apart.
select min(first) from (
    select min(position) as first from es.events group by kind, stream_id having count(*) <> max(version)
) broken
