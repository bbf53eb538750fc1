"""The wall between tenants, as it stands in the source."""

import re
from pathlib import Path

import roadstead.adapters.clickhouse as package

READS_THE_TABLE = re.compile(r"\b(FROM|JOIN)\s+point\b(?!_of)", re.IGNORECASE)


def test_points_are_read_through_the_view_only() -> None:
    found = []
    for file in sorted(Path(package.__path__[0]).glob("*.py")):
        found += [(file.name, line.strip()) for line in file.read_text().splitlines() if READS_THE_TABLE.search(line)]

    [view, delete] = [line for name, line in found if name in {"schema.py", "erasures.py"}][::-1]
    assert len(found) == 2
    assert view.endswith("FROM point WHERE tenant = {{tenant:UInt32}}")
    assert "DELETE FROM point WHERE tenant = {{tenant:UInt32}}" in delete
