-- Whom mails may go to: addresses that a tenant's settings name, and what the people behind them said.

-- address: in its one spelling. ask_at: when the mail is due that asks whether mails are wanted; null where none is.
create table iam.mail_addresses (
    tenant_id  uuid not null,
    address    text not null,
    state      text not null default 'asked' check (state in ('asked', 'confirmed', 'stopped')),
    ask_at     timestamptz,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, address)
);
create index mail_addresses_ask_at on iam.mail_addresses (tenant_id, ask_at) where ask_at is not null;

-- The links of mails that were sent: each leads to the page where its reader says yes or no. Only the hash of a link's
-- token is kept. asks: the mail was the question itself.
create table iam.mail_links (
    token_hash bytea primary key,
    tenant_id  uuid not null,
    address    text not null,
    asks       boolean not null,
    sent_at    timestamptz not null
);
create index mail_links_asks on iam.mail_links (address, sent_at) where asks;
create index mail_links_sent_at on iam.mail_links using brin (sent_at);

select es.grant_app();
