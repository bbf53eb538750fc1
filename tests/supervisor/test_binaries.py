"""Binaries that the servers' account cannot read are copied to where it can."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadstead.supervisor import binaries
from roadstead.supervisor.account import Account
from roadstead.supervisor.binaries import packaged_nats, packaged_postgres, runnable_nats, runnable_postgres
from roadstead.supervisor.failures import StartError

_root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to drop to")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where copies go, in a place that everybody can enter."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    monkeypatch.setattr(binaries, "_CACHE", directory)
    yield directory
    shutil.rmtree(directory)


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _runs_as_nobody(program: Path) -> bool:
    user, group = _nobody().uid, _nobody().gid
    done = subprocess.run([program, "--version"], user=user, group=group, extra_groups=[], cwd="/", check=False)
    return done.returncode == 0


@_root_only
def test_a_closed_nats_is_copied_once(tmp_path: Path, cache: Path) -> None:
    closed = tmp_path / "nats-server"
    shutil.copy2(packaged_nats(), closed)
    closed.chmod(0o700)

    copy = runnable_nats(closed, _nobody())
    assert _runs_as_nobody(copy)
    assert runnable_nats(closed, _nobody()) == copy
    assert len(list(cache.iterdir())) == 1


@_root_only
def test_a_closed_postgres_is_copied_with_its_libraries(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(packaged_postgres().parent, tmp_path / "postgres", symlinks=True)
    found = runnable_postgres(tmp_path / "postgres" / "bin", _nobody())
    assert found.directory.is_relative_to(cache)
    assert found.major >= 17
    assert _runs_as_nobody(found.directory / "initdb")


def test_as_ourselves_nothing_is_copied(cache: Path) -> None:
    assert runnable_postgres(packaged_postgres(), None).directory == packaged_postgres()
    assert runnable_nats(packaged_nats(), None) == packaged_nats()
    assert not list(cache.iterdir())


def test_binaries_of_another_machine_are_told_with_the_setting_that_helps(tmp_path: Path) -> None:
    for name, setting in (("postgres", "ROADSTEAD_DATABASE_URL"), ("nats-server", "ROADSTEAD_NATS_URL")):
        (tmp_path / name).write_bytes(b"\x7fELF of a machine that we are not")
        (tmp_path / name).chmod(0o755)
        with pytest.raises(StartError, match=setting):
            runnable_postgres(tmp_path, None) if name == "postgres" else runnable_nats(tmp_path / name, None)


def test_an_old_postgres_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n")
    (tmp_path / "postgres").chmod(0o755)
    with pytest.raises(StartError, match=r"13\.4 .* is too old"):
        runnable_postgres(tmp_path, None)
