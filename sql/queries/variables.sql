-- name: put_variable
-- A variable as it is after its event at a position; an older change does not undo a newer one.
insert into iam.variables as v (tenant_id, name, value, box, changed_at, position) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, name) do update set
    value = excluded.value, box = excluded.box, changed_at = excluded.changed_at, position = excluded.position
where v.position < excluded.position

-- name: variables
select name, value, box, changed_at, position from iam.variables where tenant_id = $1 order by name

-- name: variable
select name, value, box, changed_at, position from iam.variables where tenant_id = $1 and name = $2

-- name: count_variables
select count(*) from iam.variables where tenant_id = $1

-- name: delete_variable
delete from iam.variables where tenant_id = $1 and name = $2 returning true
