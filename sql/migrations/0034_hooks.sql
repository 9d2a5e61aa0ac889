-- Forgets a timer that nobody waits for any more: the last event of its run is an end, or its run is gone; or its zap has
-- been published, enabled, paused or deleted since. That of a hook, whenever its service knows what it should.
create or replace function es.drop_timer(_timer uuid) returns boolean language plpgsql
security definer set search_path = es, pg_catalog, pg_temp
as $$
begin
    delete from es.timers t where t.timer_id = _timer and t.kind = 1 and coalesce((
        select e.type from es.events e where e.kind = t.kind and e.stream_id = t.stream_id order by e.version desc limit 1
    ), '') in ('', 'zap.run.completed', 'zap.run.filtered', 'zap.run.failed', 'zap.run.timed_out', 'zap.run.cancelled');
    if found then
        return true;
    end if;
    delete from es.timers t where t.timer_id = _timer and t.kind = 0 and exists (
        select from es.events set_by
        where set_by.kind = t.kind and set_by.stream_id = t.stream_id and set_by.event_id = t.timer_id
          and (set_by.type = 'zap.hook_due' or exists (
              select from es.events e
              where e.kind = t.kind and e.stream_id = t.stream_id and e.version > set_by.version
                and e.type in ('zap.published', 'zap.rolled_back', 'zap.enabled', 'zap.paused', 'zap.deleted')
          ))
    );
    return found;
end $$;
