"""What the pages say about the code is what the code says."""

import re
from collections import Counter
from pathlib import Path

import yaml

from roadstead.dialects.native.refusals import read_ledger
from roadstead.settings import Help, Setting, all_settings
from tests.docs import errors
from tests.golden_files import check_golden

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([\w-]+))?\)")
_LEDGER_BEGINS, _LEDGER_ENDS = "<!-- ledger -->", "<!-- /ledger -->"
_GROUPS = {
    "access": "sign-in, organizations, members, invitations, API keys, audit log",
    "devices": "devices, components, sensors, sites, groups, health",
    "provisioning": "registration tokens, certificates",
    "profiles": "sensor and device profiles, schemas, packs, jobs",
    "readings": "ingest, raw, aggregated, latest, statistics, live streams",
    "data": "quarantine, exports, files",
    "meta": "OpenAPI, health, version",
    "config": "configuration artefacts, desired state, commands",
    "alerting": "alert rules, alerts, channels, events",
    "analytics": "annotations, reference pairs",
    "dashboards": "dashboards",
    "media": "cameras, captures, live video",
    "firmware": "firmware, rollouts",
    "billing": "plans, usage, invoices",
}


def test_every_setting_is_on_its_page() -> None:
    lines = [
        "# Settings",
        "",
        "Made from the code by `tests/docs`; `UPDATE_GOLDEN=1 .venv/bin/pytest tests/docs` makes it anew.",
        "",
        "Each has a default, is overlaid by the TOML file that `ROADSTEAD_CONFIG` names, and that by the environment.",
        "`roadstead settings` prints what holds now, without secrets. A variable that begins with `ROADSTEAD_` and is",
        "none of these, a key of the file that is not known, and a value that cannot be are refused at the start.",
        "",
        "| variable | in the file | default | what it is for |",
        "|---|---|---|---|",
        *(_spell_setting(setting) for setting in all_settings()),
        "",
    ]
    check_golden(_DOCS / "settings.md", "\n".join(lines))


def test_every_error_code_is_on_its_page() -> None:
    check_golden(_DOCS / "errors.md", errors.spell_page())


def test_no_meaning_is_written_for_a_code_that_is_gone() -> None:
    assert set(errors.MEANINGS) == set(errors.find_codes())
    assert set(errors.FIELD_MEANINGS) == errors.find_field_codes()


def test_the_readme_counts_what_the_ledger_says() -> None:
    contract = yaml.safe_load((_ROOT / "contracts" / "platform.yaml").read_text())
    group_of = {operation["id"]: operation["group"] for operation in contract["operations"]}
    counts = Counter((group_of[line.operation], line.status) for line in read_ledger())
    assert {group for group, _ in counts} <= set(_GROUPS)
    rows = [
        f"| {group} | {what} | {counts[group, 'served'] + counts[group, 'partial']} | {counts[group, 'refused']} |"
        for group, what in _GROUPS.items()
    ]
    served = sum(number for (_, status), number in counts.items() if status != "refused")
    total = sum(counts.values())
    table = "\n".join(
        [
            "| group | what it is about | works | refused |",
            "|---|---|---|---|",
            *rows,
            f"| | **all {total} operations of the API** | **{served}** | **{total - served}** |",
        ]
    )
    readme = (_ROOT / "README.md").read_text()
    before, _, rest = readme.partition(_LEDGER_BEGINS)
    _, _, after = rest.partition(_LEDGER_ENDS)
    assert before and after
    check_golden(_ROOT / "README.md", f"{before}{_LEDGER_BEGINS}\n{table}\n{_LEDGER_ENDS}{after}")


def test_links_between_pages_lead_somewhere() -> None:
    for page in [_ROOT / "README.md", _ROOT / "CHANGELOG.md", *_DOCS.glob("**/*.md")]:
        for place, anchor in _LINK.findall(page.read_text()):
            target = (page.parent / place).resolve() if place else page
            assert target.exists(), f"{page.name} links to {place}"
            if anchor:
                assert anchor in _anchors(target.read_text()), f"{page.name} links to {place}#{anchor}"


def test_the_index_of_decisions_has_every_decision_under_its_title() -> None:
    index = (_DOCS / "decisions" / "README.md").read_text()
    for page in sorted((_DOCS / "decisions").glob("0*.md")):
        title = page.read_text().splitlines()[0].removeprefix("# ")
        assert f"[{title}]({page.name})" in index


def _spell_setting(setting: Setting) -> str:
    help_: Help = setting.help
    default = str(setting.default).lower() if isinstance(setting.default, bool) else str(setting.default)
    text = help_.text.replace("|", "\\|").replace("<", "&lt;")
    secret = " (secret)" if help_.secret else ""
    shown = f"`{default}`" if default else ""
    return f"| `{setting.variable}` | `{'.'.join(setting.path)}` | {shown} | {text}{secret} |"


def _anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
