-- Runs can end as filtered, too.

-- Forgets a timer that nobody waits for any more: the last event of its run is an end, or its run is gone.
create or replace function es.drop_timer(_timer uuid) returns boolean language plpgsql
security definer set search_path = es, pg_catalog, pg_temp
as $$
begin
    delete from es.timers t where t.timer_id = _timer and coalesce((
        select e.type from es.events e where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
    ), '') in ('', 'zap.run.completed', 'zap.run.filtered', 'zap.run.failed', 'zap.run.timed_out', 'zap.run.cancelled');
    return found;
end $$;
