-- Guessing of passwords is slowed down, and API keys say what they may do.

-- What went wrong lately, by account and by client, under a hash: no address stands here.
-- Lost in a crash of the server: everybody starts anew, then.
create unlogged table iam.failed_guesses (
    key       bytea primary key,
    failures  int not null,
    failed_at timestamptz not null,
    closed_until timestamptz not null
);
create index failed_guesses_failed_at on iam.failed_guesses (failed_at);

alter table iam.api_keys add column scopes text[] not null default '{read,write}';

-- One spelling of each address, as the API looks for it from now on; where two accounts would become one, both stay.
update iam.users u set email = normalize(lower(normalize(u.email, nfkc)), nfkc)
where u.email <> normalize(lower(normalize(u.email, nfkc)), nfkc)
  and not exists (
      select from iam.users other
      where other.user_id <> u.user_id and lower(other.email) = lower(normalize(lower(normalize(u.email, nfkc)), nfkc)));

select es.grant_app();
