-- With a run goes what a request had brought that was held, or refused, before it became the run.

-- Stores the event that says that a run's payloads are forgotten, and takes them out of the log, in one transaction.
-- _positions and _payloads: what stays of each event, first of the request that was held or refused before it became the
-- run, if there was one, then of all events of the run.
create or replace function es.forget(
    _run uuid, _stream uuid, _tenant uuid, _key uuid, _id uuid, _type text, _sv smallint, _meta bytea, _data bytea,
    _hash bytea, _positions bigint[], _payloads bytea[]
) returns bigint language plpgsql security definer
set search_path = es, pg_catalog, pg_temp
as $$
declare
    result smallint; place bigint; events bigint[];
begin
    select a.outcome, a.pos into result, place
    from es.append(array[0]::smallint[], array[_stream], array[0], array[_tenant], array[_key], array[null]::uuid[],
                   array[null]::bytea[], array[0], array[1], array[_id], array[_type], array[_sv], array[_meta],
                   array[_data], array[_hash], array[null]::timestamptz[]) a;
    if result <> 0 then
        return place;
    end if;
    events := array(select e.position from es.events e where e.kind = 1 and e.stream_id = _run order by e.version);
    if _positions[cardinality(_positions) - cardinality(events) + 1:] <> events then
        raise exception 'the run has other events by now' using errcode = 'serialization_failure';
    end if;
    insert into es.forgotten_events (position, digest, recorded_by)
    select e.position, sha256(
               int2send(e.kind) || int2send(e.schema_version) || int4send(octet_length(e.type))
               || int4send(octet_length(e.meta)) || int4send(octet_length(p.data)) || uuid_send(e.stream_id)
               || uuid_send(e.tenant_id) || uuid_send(e.ordering_key) || uuid_send(e.event_id)
               || convert_to(e.type, 'UTF8') || e.meta || p.data), place
    from unnest(_positions, _payloads) p(position, data)
    join es.events e on e.position = p.position and e.tenant_id = _tenant
                    and (e.kind = 1 and e.stream_id = _run or e.type = 'zap.request.rejected');
    if (select encode(sha256(string_agg(int8send(position) || digest, '' order by position)), 'hex')
        from es.forgotten_events where recorded_by = place) is distinct from convert_from(_data, 'UTF8')::jsonb ->> 'digest'
    then
        raise exception 'the digest is another' using errcode = 'data_exception';
    end if;
    update es.events e set data = p.data
    from unnest(_positions, _payloads) p(position, data)
    where e.position = p.position and exists (select from es.forgotten_events f where f.position = p.position);
    delete from proj.backtests where run_id = _run;
    return place;
end $$;
