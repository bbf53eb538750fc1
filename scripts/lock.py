"""Write the lock files: the versions, in this environment, of everything that pyproject.toml asks for.

usage: .venv/bin/python scripts/lock.py

Made on Linux with Python 3.11. A requirement that holds for some Pythons or systems only keeps its condition.
"""

import importlib.metadata
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

# chdb-core asks for these two (300 MB unpacked) and needs them only for data frames, which we never make;
# vega-datasets asks for pandas and we only read its files. What pyproject.toml itself asks for is locked all the same.
NEVER_IMPORTED = {"pandas", "pyarrow"}


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["build-system"]["requires"]
    runtime = closure([*project["project"]["dependencies"], *build])
    dev = closure(project["project"]["optional-dependencies"]["dev"])
    write(ROOT / "requirements.lock", runtime)
    write(ROOT / "requirements-dev.lock", {name: line for name, line in dev.items() if name not in runtime})


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """A pinned line for each package that these need, directly or not."""
    conditions: dict[str, set[str]] = {}
    todo = [(Requirement(text), "") for text in requirements]
    never = NEVER_IMPORTED - {canonicalize_name(requirement.name) for requirement, _ in todo}
    done: set[tuple[str, str, str]] = set()
    while todo:
        requirement, condition = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in never:
            continue
        condition = " and ".join(filter(None, (condition, condition_of(requirement))))
        conditions.setdefault(name, set()).add(condition)
        for extra in ("", *requirement.extras):
            if (name, extra, condition) not in done:
                done.add((name, extra, condition))
                todo += [(needed, condition) for needed in needs(name, extra)]
    return {name: pin(name, found) for name, found in conditions.items()}


def needs(name: str, extra: str) -> Iterator[Requirement]:
    """What a package needs here; with an extra, what that adds."""
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        holds = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if holds and (not extra or "extra" in str(requirement.marker)):
            yield requirement


def condition_of(requirement: Requirement) -> str:
    """Its marker, unless that only asks for an extra or for CPython."""
    marker = str(requirement.marker or "")
    return "" if "extra" in marker or "implementation" in marker else marker


def pin(name: str, conditions: set[str]) -> str:
    """One line. Where somebody needs it without a condition, there is none."""
    line = f"{name}=={importlib.metadata.version(name)}"
    if "" in conditions:
        return line
    if len(conditions) == 1:
        return f"{line}; {conditions.pop()}"
    return f"{line}; " + " or ".join(f"({condition})" for condition in sorted(conditions))


def write(path: Path, lines: dict[str, str]) -> None:
    text = "\n".join(lines[name] for name in sorted(lines))
    path.write_text(f"# Made by 'make lock'; complete, so it is installed with --no-deps.\n{text}\n")


if __name__ == "__main__":
    main()
