"""What each setting means, in the words of the reference."""

import msgspec


class SettingNote(msgspec.Struct, frozen=True):
    """`default` says what holds without the variable, where that is not simply the field's value."""

    meaning: str
    default: str = ""


SETTINGS: dict[str, SettingNote] = {
    "database_url": SettingNote(
        "PostgreSQL 14 or newer, as `postgresql://user:password@host:5432/database`.", "embedded"
    ),
    "app_password": SettingNote(
        "For `triggerhub migrate`: the password with which the role `triggerhub_app` may log in from then on.", "none"
    ),
    "kafka_bootstrap_servers": SettingNote("Kafka, as `host:port`, several separated by commas.", "embedded"),
    "kafka_topic": SettingNote("The topic of committed events. The relay creates it."),
    "kafka_partitions": SettingNote("Partitions of the topic: the most runners that can share the work."),
    "kafka_replication": SettingNote("Copies of each partition, when the relay creates the topic."),
    "kafka_retention_hours": SettingNote("How long the topic keeps messages. `0` leaves it to the brokers."),
    "kafka_create_topic": SettingNote("With `off` the relay waits until `triggerhub topics` has created the topic."),
    "kafka_groups": SettingNote(
        "With `off` there is one runner and one projector, and they join no consumer group. "
        "`triggerhub up` sets this for its own broker."
    ),
    "kafka_sasl_mechanism": SettingNote("`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`."),
    "kafka_username": SettingNote("The user for SASL."),
    "kafka_password": SettingNote("The password for SASL."),
    "kafka_tls": SettingNote("`on` or `off`. It is on when a certificate file is given.", "by files"),
    "kafka_ca_file": SettingNote("The certificates that the brokers are checked against, PEM.", "the system's"),
    "kafka_cert_file": SettingNote("The client's own certificate, PEM."),
    "kafka_key_file": SettingNote("The key of that certificate, PEM."),
    "data_dir": SettingNote("Where `up` keeps its database, its secrets and its logs."),
    "host": SettingNote("The address on which the API listens."),
    "port": SettingNote("The port on which the API listens."),
    "public_url": SettingNote(
        "The address that users and webhook senders see, and that links in mails begin with.", "`http://HOST:PORT`"
    ),
    "jwt_secret": SettingNote(
        "Signs access tokens: 32 bytes or more, or several secrets with commas between them, the newest first. "
        "Required with a database of your own.",
        "generated",
    ),
    "encryption_key": SettingNote(
        "Encrypts the secrets of hooks and connections: 32 bytes in base64. Whoever loses the key loses the secrets. "
        "Several may stand there with commas between them, newest first: `triggerhub rotate-keys` frees the others. "
        "Required with a database of your own.",
        "generated",
    ),
    "message_key": SettingNote(
        "Seals the messages on the topic, so that forged ones do nothing: 32 bytes in base64, or several with commas "
        "between them, the newest first. Links of approvals and URLs of callbacks follow from it. Every role needs the "
        "same.",
        "from `ENCRYPTION_KEY`",
    ),
    "outbound_allow": SettingNote(
        "Private networks that actions may call, as CIDRs. Without it: loopback where everything "
        "runs on this machine, else no private network.",
        "none, or loopback",
    ),
    "smtp_host": SettingNote("The mail server for alerts and for approvals. The API only looks whether there is one."),
    "smtp_port": SettingNote("Its port."),
    "smtp_username": SettingNote("The user at the mail server."),
    "smtp_password": SettingNote("The password at the mail server."),
    "smtp_tls": SettingNote("`off`, `starttls` or `tls`."),
    "smtp_from": SettingNote("The sender of mails. Required with a host."),
    "signup": SettingNote("Who may make an account: `on` anybody, `first` only the first person, `off` nobody."),
    "max_body": SettingNote("The largest body of a webhook, before and after decompression.", "`10MB`"),
    "max_held": SettingNote(
        "What a paused zap may hold of requests; the zaps of one user may hold four times that.", "`256MB`"
    ),
    "max_file": SettingNote("Bytes of one file: a large answer, or a large binary body or part of a form."),
    "max_files": SettingNote(
        "Bytes of all files of a workspace; beyond that, senders are answered 507 and steps fail."
    ),
    "files": SettingNote(
        "Where the content of files is kept: a directory, or `s3://BUCKET/PREFIX` with the `AWS_...` variables as for "
        "`ARCHIVE`. API, runner and scheduler need the same.",
        "the database",
    ),
    "user_per_minute": SettingNote("Webhooks a minute for all zaps of one user together. `0` is no limit."),
    "requests_days": SettingNote(
        "How many days requests that start no run are kept, also those that a zap still holds: 7 or more. "
        "Whole months go at once."
    ),
    "checkpoint_key": SettingNote(
        "Signs the checkpoints of the log: 32 bytes in base64, the seed of an Ed25519 key. "
        "Without it nothing is signed.",
        "generated by `up`",
    ),
    "checkpoint_minutes": SettingNote("How often a checkpoint is signed while the log grows."),
    "checkpoint_url": SettingNote("Where each checkpoint is sent, in a POST as plain text.", "nowhere"),
    "checkpoint_file": SettingNote("The file to whose end each checkpoint is written, for a disk elsewhere.", "none"),
    "archive": SettingNote(
        "Where runs are written before retention drops them: a directory, or `s3://BUCKET/PREFIX`, for which "
        "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT` say the rest.",
        "nowhere",
    ),
    "trusted_proxies": SettingNote(
        "The proxies before the API, as CIDRs: from them, and from nobody else, `X-Forwarded-For` is believed. "
        "Limits by client and the preset `ip_allow` then see the client's address, otherwise the proxy's.",
        "none",
    ),
    "broker_memory_limit": SettingNote(
        "`up` restarts its in-memory broker above this size; nothing is lost.", "`96MB`"
    ),
    "api_key": SettingNote(
        "For `triggerhub connector add` and `import`: a key with the scope `write`, made in the settings of the UI."
    ),
    "log_level": SettingNote("`debug`, `info`, `warning` or `error`."),
    "log_format": SettingNote(
        "`console` or `json`. Without it: `console` on a terminal, `json` elsewhere.", "by terminal"
    ),
    "crash_at": SettingNote("For tests: a point where the process of a role dies, such as `runner.after_action:3`."),
}
