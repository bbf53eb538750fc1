"""Stands in for `roadstead`: says it is ready, notes what it was told, obeys files that a test puts into the directory.

`<role>.crash`: it ends with code 3 before it is ready. `<role>.mute`: it never says that it is ready.
"""

import json
import os
import signal
import sys
from pathlib import Path

from roadstead.supervisor import notify


def main() -> None:
    role = sys.argv[2]
    Path(f"{role}.environment").write_text(json.dumps({k: v for k, v in os.environ.items() if "ROADSTEAD" in k}))
    if Path(f"{role}.crash").exists():
        sys.exit(f"RuntimeError: the {role} was told to crash")
    if not Path(f"{role}.mute").exists():
        notify.ready()
    print(f"{role} works", flush=True)
    signal.sigwait({signal.SIGTERM})
    with Path("stopped").open("a") as file:
        file.write(f"{role}\n")


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
