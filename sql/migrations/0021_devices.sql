-- What a signed-in device called itself, so that its owner knows it again.
alter table iam.sessions add column device text not null default '';
