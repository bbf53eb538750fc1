"""The data directory: what lies where in it, and who may use it."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roadstead.supervisor.account import Account, choose_account
from roadstead.supervisor.failures import StartError, explain

LEAST_FREE_BYTES = 128 * 1024 * 1024
"""Below this nothing is started: an empty PostgreSQL and its write-ahead log alone take half of it."""


class DataDir:
    """One directory for everything the embedded servers keep. Made when it is not there, for its owner alone."""

    def __init__(self, path: Path) -> None:
        """Raises `StartError` when it cannot be made or written."""
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path = self.path.resolve()
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, self.path) from error

    @property
    def logs(self) -> Path:
        """What the children print, a file each."""
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL: its password and one directory for each major version."""
        return self.path / "postgres"

    @property
    def nats(self) -> Path:
        """The embedded NATS: its configuration, with its password, and its streams."""
        return self.path / "nats"

    @property
    def credentials(self) -> Path:
        """The first owner's way in."""
        return self.path / "credentials.json"

    @property
    def store_access(self) -> Path:
        """Port and password of the store role's private interface."""
        return self.path / "store-access.json"

    @property
    def lock_file(self) -> Path:
        """Locked while a supervisor works here."""
        return self.path / "lock"

    def account(self) -> Account | None:
        """Whom the embedded servers run as; None: ourselves."""
        return choose_account(self.postgres)

    def free_bytes(self) -> int:
        """What is left on its disk for an ordinary account."""
        return shutil.disk_usage(self.path).free

    def check_space(self) -> None:
        """Raises `StartError` when the disk is as good as full."""
        free = self.free_bytes()
        if free < LEAST_FREE_BYTES:
            raise StartError(
                f"only {free // 2**20} MB are free on the disk of {self.path}: "
                "free some space, or set ROADSTEAD_DATA_DIR to a larger disk"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One supervisor per data directory. The kernel lets go of the lock when the holder dies, however it dies."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise explain(error, self.path) from error
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether a supervisor works here now."""
        try:
            with self.lock_file.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def holder(self) -> int:
        """The process that locked it last; 0 when unknown."""
        try:
            return int(self.lock_file.read_text())
        except (OSError, ValueError):
            return 0

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise StartError(
                f"another roadstead (process {holder}) already runs in {self.path}: "
                "stop it, or set ROADSTEAD_DATA_DIR to another directory"
            ) from error
        except OSError as error:
            raise explain(error, self.path) from error
