"""The data directory: one holder, stable ports, private secrets."""

import base64
import random
import socket
import stat
from pathlib import Path

import pytest

from app.config.data_dir import Busy, DataDir, free_ports


def test_only_one_holds_it(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    with directory.held():
        assert DataDir(tmp_path).in_use()
        with pytest.raises(Busy, match="TRIGGERHUB_DATA_DIR"), DataDir(tmp_path).held():
            pass
    assert not directory.in_use()
    with directory.held():
        pass


def test_looking_never_makes_a_directory(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "none")
    assert not directory.in_use()
    assert directory.runtime() is None
    assert directory.existing_secret("jwt_secret") == ""
    assert not directory.path.exists()


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    secret = directory.secret("jwt_secret")
    assert len(base64.urlsafe_b64decode(secret)) == 32
    assert directory.secret("jwt_secret") == directory.existing_secret("jwt_secret") == secret
    assert stat.S_IMODE((tmp_path / "jwt_secret").stat().st_mode) == 0o600


def test_ports_are_remembered_and_differ(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    postgres, broker = directory.port("postgres"), directory.port("broker")
    assert postgres != broker
    assert (directory.port("postgres"), DataDir(tmp_path).port("broker")) == (postgres, broker)


def test_a_taken_port_is_given_up(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    port = directory.port("postgres")
    with socket.create_server(("127.0.0.1", port)):
        assert directory.port("postgres") != port


def test_processes_whose_chance_has_one_seed_take_different_ports() -> None:
    """As parallel tests have it: each would find the port free until the first server listens there."""
    taken = set()
    for _ in range(3):
        random.seed(1)
        taken.add(next(free_ports()))
    assert len(taken) == 3
