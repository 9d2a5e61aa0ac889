"""What ships: locks that fit the project file, deployment files that name real settings."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.config.settings import unknown_variables

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "consumers", "domain", "projections", "relay", "sql")


def locked(name: str) -> dict[str, str]:
    """Name → version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def wanted() -> tuple[list[Requirement], list[Requirement]]:
    """(what running needs, what developing needs besides)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    run = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["local"]]
    return [Requirement(r) for r in (*run, *groups["build"])], [Requirement(r) for r in groups["dev"]]


def test_locks_hold_what_the_project_asks_for() -> None:
    run, dev = wanted()
    for lock, requirements in (("requirements.lock", run), ("requirements-dev.lock", run + dev)):
        versions = locked(lock)
        for requirement in requirements:
            assert versions.get(canonicalize_name(requirement.name), "none") in requirement.specifier, lock


def test_locks_agree() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_file_has_a_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert all(f"{name}=={version}" in text for name, version in locked(lock).items())
    entries = re.findall(r"^[a-z0-9-]+==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+", text, re.MULTILINE)
    assert len(entries) == len(locked(lock))
    assert "://" not in text


@pytest.mark.parametrize("name", ["compose.yaml", "Dockerfile", ".env.example", "Makefile"])
def test_deployment_files_name_real_settings(name: str) -> None:
    used = re.findall(r"\bTRIGGERHUB_(?!TEST_|SOAK_)[A-Z_]+\b", (ROOT / name).read_text())
    assert unknown_variables(dict.fromkeys(used, "")) == []


def test_our_folders_belong_to_us_alone() -> None:
    """Installed under their plain names, they could be overwritten by another distribution with an `app`."""
    owners = importlib.metadata.packages_distributions()
    assert {name: set(owners.get(name, ["triggerhub"])) for name in PACKAGES} == {
        name: {"triggerhub"} for name in PACKAGES
    }
