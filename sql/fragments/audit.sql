-- Parts of queries of the audit, to be written one behind the other (projections/audit.py). A `:name` is a value.

-- name: positions
select a.position from rm.audit a where a.tenant_id = :tenant

-- name: before
and a.position < :before::bigint

-- name: after
and a.position > :after::bigint

-- name: actor
and a.actor = any(:actor::text[])

-- name: entity
and a.entity_id = :entity::uuid

-- name: type
and a.type = :type::text

-- name: from
-- Times are looked up as positions, which the index is in the order of.
and a.position > coalesce((select c.last_position from es.commits c where c.recorded_at < :from::timestamptz
                           order by c.recorded_at desc, c.last_position desc limit 1), 0)

-- name: to
and a.position <= coalesce((select c.last_position from es.commits c where c.recorded_at < :to::timestamptz
                            order by c.recorded_at desc, c.last_position desc limit 1), 0)

-- name: words
and a.words @@ websearch_to_tsquery('simple', :words)

-- name: words_of_owner
-- The name of the person is no part of a row: it is the account's, which may be erased.
and a.words @@ websearch_to_tsquery('simple', :rest)
and (a.actor = any(:owner::text[]) or a.words @@ websearch_to_tsquery('simple', :words))

-- name: words_of_owner_alone
and (a.words @@ websearch_to_tsquery('simple', :words) or a.actor = any(:owner::text[]))

-- name: newest
order by a.position desc limit :limit::int

-- name: oldest
order by a.position limit :limit::int
