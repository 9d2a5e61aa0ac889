-- Variables that zaps of a workspace share. value: JSON of a plain one; box: a secret one's, sealed with the data key
-- of the workspace.
create table iam.variables (
    tenant_id  uuid not null,
    name       text not null,
    value      text,
    box        bytea,
    changed_at timestamptz not null,
    position   bigint not null,
    primary key (tenant_id, name),
    check ((value is null) <> (box is null))
);
select es.grant_app();
