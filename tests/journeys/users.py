"""An ordinary user of this machine, when the tests are run by root."""

import os
import pwd
import subprocess
import sys
import sysconfig
from pathlib import Path

import msgspec

import roadstead


class Guest(msgspec.Struct, frozen=True):
    """An account, and a Python that it can run our package with."""

    uid: int
    gid: int
    python: str

    @property
    def command(self) -> tuple[str, ...]:
        """`roadstead` as this user."""
        become = ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        # `env` in between: setpriv itself still has root's rights when it looks for the program to run.
        return (*become, "env", self.python, "-P", "-m", "roadstead")

    def environment(self, home: Path) -> dict[str, str]:
        """What they would have after a login, and where our packages are."""
        packages = [sysconfig.get_path("purelib"), str(Path(roadstead.__file__).parents[1])]
        return {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(packages)}


def find_guest() -> Guest | None:
    """`nobody`, with our Python or the same version of the system's; None when we are not root, or neither works."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        guest = Guest(account.pw_uid, account.pw_gid, python)
        try:
            tried = subprocess.run(
                [*guest.command, "--version"],
                env=guest.environment(Path("/")),
                cwd="/",
                capture_output=True,
                check=False,
            )
        except OSError:
            return None
        if tried.returncode == 0:
            return guest
    return None


def _runs(guest: Guest) -> bool:
    arguments, environment = [*guest.command, "--version"], guest.environment(Path("/"))
    try:
        return subprocess.run(arguments, env=environment, cwd="/", capture_output=True, check=False).returncode == 0
    except OSError:
        return False
