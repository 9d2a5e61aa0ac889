-- name: want_mails
-- Addresses that a tenant wants to write to and has not named before, up to $4 in all: they are asked from $3 on.
insert into iam.mail_addresses (tenant_id, address, ask_at, changed_at)
select $1, u.address, $3, $3 from unnest($2::text[]) u(address)
where (select count(*) from iam.mail_addresses where tenant_id = $1) < $4
on conflict (tenant_id, address) do nothing

-- name: ask_again
-- Have an address asked once more, unless it has answered or is about to be asked.
update iam.mail_addresses set ask_at = $3 where tenant_id = $1 and address = $2 and state = 'asked' and ask_at is null

-- name: mail_addresses_of
-- What is known of some addresses of a tenant.
select address, state, changed_at from iam.mail_addresses where tenant_id = $1 and address = any($2::text[])
order by address

-- name: mail_addresses_page
select address, state, changed_at from iam.mail_addresses where tenant_id = $1 order by address

-- name: due_asks
-- One address of each tenant that is to be asked, the one that has waited longest.
select distinct on (a.tenant_id) a.tenant_id, a.address, u.email
from iam.mail_addresses a left join iam.users u on u.user_id = a.tenant_id
where a.ask_at <= $1 order by a.tenant_id, a.ask_at limit $2

-- name: put_off_ask
update iam.mail_addresses set ask_at = $3 where tenant_id = $1 and address = $2 and state = 'asked'

-- name: begin_ask
-- Whether an address may be asked now: not more than $4 times a day, whoever asks. It is then taken for asked, by the mail
-- with this link; otherwise its turn comes tomorrow.
with asks as (
    select count(*) < $4 as allowed from iam.mail_links
    where address = $2 and asks and sent_at > $3::timestamptz - interval '1 day'
),
asked as (
    update iam.mail_addresses a set ask_at = case when asks.allowed then null else $3 + interval '1 day' end
    from asks where a.tenant_id = $1 and a.address = $2 and a.ask_at is not null
    returning asks.allowed
)
insert into iam.mail_links (token_hash, tenant_id, address, asks, sent_at)
select $5, $1, $2, true, $3 from asked where allowed
returning true

-- name: add_mail_link
insert into iam.mail_links (token_hash, tenant_id, address, asks, sent_at) values ($1, $2, $3, false, $4)

-- name: mail_link
-- What a link is about: the address, how it stands, and the e-mail address of the account that writes to it.
select a.address, a.state, u.email
from iam.mail_links l join iam.mail_addresses a using (tenant_id, address)
left join iam.users u on u.user_id = l.tenant_id
where l.token_hash = $1

-- name: answer_mail_link
-- What the reader of a mail says: $2 is confirmed or stopped.
update iam.mail_addresses a
set state = $2, ask_at = null, changed_at = case when a.state = $2 then a.changed_at else $3 end
from iam.mail_links l
where l.token_hash = $1 and a.tenant_id = l.tenant_id and a.address = l.address
returning a.address

-- name: prune_mail_links
delete from iam.mail_links where token_hash in (
    select token_hash from iam.mail_links where sent_at < $1 limit $2
)
