-- One spelling of each address, as the API looks for it from now on: without a dot at its end and without further
-- characters that nobody sees. Where two accounts would become one, both stay.
with spelt as (
    select user_id, rtrim(replace(regexp_replace(email,
        '[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\uffa0\ufe00-\ufe0f\ufff0-\ufff8]', '', 'g'),
        U&'\3002', '.'), '.') as email
    from iam.users
)
update iam.users u set email = s.email from spelt s
where u.user_id = s.user_id and u.email <> s.email
  and not exists (select from iam.users other where other.user_id <> u.user_id and lower(other.email) = lower(s.email));
