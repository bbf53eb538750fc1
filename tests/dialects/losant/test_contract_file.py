"""What is shipped of the contract says what the contract says."""

import json
from importlib import resources

from tests.dialects.losant.contract import ACTIONS, SCHEMAS, closure
from tests.golden_files import check_golden

_EARLY = {"applicationJobLog.get", "applicationJobLogs.get", "org.get", "orgs.get"}
"""Of later tiers, and served already."""


def test_the_scopes_and_schemas_that_are_shipped_are_those_of_the_contract() -> None:
    actions = {name: action for name, action in ACTIONS.items() if action["tier"] == 1 or name in _EARLY}
    wanted = [action["body_schema"] for action in actions.values() if action.get("body_schema")]
    wanted += [each["schema"] for action in actions.values() for each in action["query_params"] if "schema" in each]
    wanted += [
        part["schema"] for action in actions.values() for part in action.get("multipart", ()) if "schema" in part
    ]
    shipped = {
        "scopes": {name: action["scopes"] for name, action in actions.items()},
        "schemas": {name: SCHEMAS[name] for name in sorted(closure(wanted))},
    }
    with resources.as_file(resources.files("roadstead.dialects.losant") / "contract.json") as place:
        check_golden(place, json.dumps(shipped, separators=(",", ":")).replace("},", "},\n") + "\n")
