"""The table of roles: each role gets the settings that it reads, and no others."""

import inspect
import re

import msgspec
import pytest

from app.config.settings import Secret, Settings
from app.roles import roles
from app.roles.roles import MIGRATION, ROLES
from sql.process.crash_points import POINTS

FIELDS = Settings.__struct_fields__
SECRETS = {name for name in FIELDS if isinstance(getattr(Settings(), name), Secret)}
KAFKA = {name for name in FIELDS if name.startswith("kafka_")}
HELPERS = ("check_access", "config", "consumer_security", "_alone")
"""What takes the settings and reads more of Kafka's."""

ALLOWED = {
    "api": {"database_url", "jwt_secret", "encryption_key", "message_key"},
    "relay": {"database_url", "kafka_password", "message_key"},
    "runner": {"database_url", "kafka_password", "message_key", "encryption_key"},
    "projector": {"database_url", "kafka_password", "message_key"},
    "scheduler": {"database_url", "message_key", "smtp_password", "encryption_key", "checkpoint_key"},
}


def everything() -> Settings:
    """Settings of which each secret is its own name, and each other field is not as it would be if absent."""
    return msgspec.structs.replace(Settings(), **{name: Secret(name) for name in SECRETS})


def test_the_secrets_of_each_role_are_those_that_were_agreed() -> None:
    assert set(ALLOWED) == set(ROLES)
    for name, role in ROLES.items():
        given = everything().only(*role.settings)
        assert {field for field in SECRETS if getattr(given, field)} == ALLOWED[name], name
    given = everything().only(*MIGRATION)
    assert {field for field in SECRETS if getattr(given, field)} == {"database_url", "app_password"}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_reads_what_the_table_gives_it_and_all_of_that(name: str) -> None:
    code = inspect.getsource(ROLES[name].run)
    if "_consumer(settings" in code:
        code += inspect.getsource(roles._consumer)
    if "file_store(settings" in code:
        code += inspect.getsource(roles.file_store)
    read = set(re.findall(r"\bsettings\.(\w+)", code)) - {"message_keys"}
    if "settings.message_keys" in code or any(f"{helper}(settings)" in code for helper in HELPERS):
        read |= {"message_key"}
    if any(f"{helper}(settings)" in code for helper in HELPERS):
        read |= KAFKA - {"kafka_groups"}
    if "_alone(settings)" in code:
        read |= {"kafka_groups"}
    assert set(ROLES[name].settings) == read


def test_what_a_role_does_not_get_is_as_if_nobody_had_set_it() -> None:
    for role in ROLES.values():
        given = everything().only(*role.settings)
        for name in set(FIELDS) - {*role.settings, "data_dir", "log_level", "log_format", "crash_at"}:
            assert getattr(given, name) == getattr(Settings(), name)


def test_every_crash_point_is_one_of_a_role() -> None:
    assert {point.split(".")[0] for point in POINTS} <= set(ROLES)
