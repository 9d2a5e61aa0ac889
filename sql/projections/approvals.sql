-- name: create
-- One row per approval, which is named by the event that asked for it: ids are UUIDv7, so they sort by time.
create table approvals (
    tenant_id      uuid not null,
    approval_id    uuid not null,
    run_id         uuid not null,
    step_id        text not null,
    zap_id         uuid not null,
    state          text not null,
    title          text not null,
    message        text not null,
    form           text not null,
    required       int not null,
    recipients     text not null,
    answers        jsonb not null,
    mails          jsonb not null,
    asked_at       timestamptz not null,
    deadline       timestamptz not null,
    mail_due_at    timestamptz,
    position       bigint not null,
    primary key (tenant_id, approval_id)
) with (fillfactor = 70);
create unique index approvals_step on approvals (run_id, step_id);
create index approvals_open on approvals (tenant_id, approval_id) where state = 'open';
create index approvals_mail on approvals (mail_due_at) where mail_due_at is not null;

-- name: insert
insert into approvals (tenant_id, approval_id, run_id, step_id, zap_id, state, title, message, form, required,
                       recipients, answers, mails, asked_at, deadline, mail_due_at, position)
values ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, '[]', '{}', $11, $12, $13, $14)
on conflict (tenant_id, approval_id) do nothing

-- name: answered
-- One more answer; `$4` where it has settled the approval.
update approvals
set answers = answers || $3::jsonb, state = case when $4 then 'decided' else state end,
    mail_due_at = case when $4 then null else mail_due_at end, position = $5
where run_id = $1 and step_id = $2 and position < $5

-- name: mailed
update approvals set mails = mails || $3::jsonb, mail_due_at = $4, position = $5
where run_id = $1 and step_id = $2 and position < $5

-- name: withdrawn
-- The runs have ended, and nobody needs to answer any more. Keys come sorted, so that writers cannot deadlock.
update approvals a set state = 'withdrawn', mail_due_at = null, position = u.position
from unnest($1::uuid[], $2::bigint[]) u(run_id, position)
where a.run_id = u.run_id and a.state = 'open' and a.position < u.position

-- name: forget
-- Who was asked what, and what they said, was all said by somebody.
delete from approvals a using unnest($1::uuid[], $2::uuid[]) f(tenant_id, run_id)
where a.tenant_id = f.tenant_id and a.run_id = f.run_id

-- name: page
-- A tenant's approvals at a moment, newest first. What was not answered by its deadline is expired from then on.
select approval_id, run_id, zap_id, step_id, title, message, form,
       case when state = 'open' and deadline <= $4 then 'expired' else state end,
       required, recipients, answers, mails, asked_at, deadline, position
from rm.approvals
where tenant_id = $1 and approval_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  and ($5::uuid is null or run_id = $5) and ($6::text is null or state = $6)
order by approval_id desc limit $3

-- name: page_undecided
-- The same for those that are open, or expired.
select approval_id, run_id, zap_id, step_id, title, message, form, $6::text,
       required, recipients, answers, mails, asked_at, deadline, position
from rm.approvals
where tenant_id = $1 and approval_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  and ($5::uuid is null or run_id = $5) and state = 'open' and (deadline > $4) = ($6::text = 'open')
order by approval_id desc limit $3

-- name: mail_due
-- Approvals of which mails are to be sent at a moment, the longest due first.
select run_id, step_id from rm.approvals where mail_due_at <= $1 and deadline > $1 order by mail_due_at limit $2
