"""Runs what the guides show, and compares what they say comes out.

A fenced block whose info string says `run` is run: `sh` in bash, `python` in Python, all blocks of a page in one bash,
in order, so that variables stay. A block that says `output` is what the one before it prints. Of that, ids, secrets,
times that end in `At`, ports and colours may differ; `…` stands for anything within a line, `…` alone for any lines;
`varies` lets all numbers and times differ as well. `if=PROGRAM` runs a block only where that program is installed.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "--- snippet {} ---"
_ANYTHING = "…"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECRET = re.compile(r"(sk_live_)?[0-9A-Za-z_-]{40,}|[0-9A-F]{38,40}|[0-9a-f]{8}(-[0-9a-f]+){4}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)")
_VARYING_TIME = re.compile(rf'("(?:\w+At|at|notBefore|notAfter)":\s*"){_TIME.pattern}')
_NUMBER = re.compile(r"\d[\d,.]*")


class Snippet(msgspec.Struct):
    """One block to run, and what it shall print."""

    language: str
    code: str
    line: int
    output: str | None = None
    varies: bool = False
    is_run: bool = True


def read_snippets(page: Path) -> list[Snippet]:
    """The blocks of a page that are to be run, in order."""
    text = page.read_text()
    found: list[Snippet] = []
    for match in _FENCE.finditer(text):
        language, words, body = match[1], match[2].split(), match[3]
        if "run" in words:
            found.append(Snippet(language, body, text.count("\n", 0, match.start()) + 1))
            needed = next((word.removeprefix("if=") for word in words if word.startswith("if=")), "sh")
            found[-1].is_run = shutil.which(needed) is not None
        elif "output" in words:
            found[-1].output, found[-1].varies = body, "varies" in words
    return found


def find_missing(snippets: Sequence[Snippet], programs: Sequence[str]) -> list[str]:
    """Which of these programs the blocks use and this machine lacks."""
    code = "\n".join(snippet.code for snippet in snippets if snippet.language == "sh" and snippet.is_run)
    used = [name for name in programs if re.search(rf"\b{name}\b", code)]
    return [name for name in used if shutil.which(name) is None]


def run_snippets(
    snippets: Sequence[Snippet], *, directory: Path, environment: Mapping[str, str], instead: Mapping[str, str]
) -> list[str]:
    """What each block printed, both streams. `instead`: what stands in the page, and what is run for it.

    Raises `AssertionError` that names the line of the block that failed.
    """
    script = ["set -euo pipefail"]
    for number, snippet in enumerate(snippets):
        code = _replace(snippet.code, instead) if snippet.is_run else ":"
        script.append(f"python3 - <<'END_OF_SNIPPET'\n{code}END_OF_SNIPPET" if snippet.language == "python" else code)
        script.append(f"echo; echo '{_MARK.format(number)}'")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    printed, rest = [], done.stdout
    for number in range(len(snippets)):
        text, mark, rest = rest.partition(f"\n{_MARK.format(number)}\n")
        assert mark, f"the block at line {snippets[number].line} failed ({done.returncode}):\n{text}"
        printed.append(text)
    return printed


def find_difference(snippet: Snippet, printed: str, *, instead: Mapping[str, str]) -> str | None:
    """The first line of the shown output that was not printed where it should be; None when all were."""
    if snippet.output is None or not snippet.is_run:
        return None
    printed = _replace(printed, {real: shown for shown, real in instead.items()})
    lines = [_blur(line, snippet.varies) for line in printed.splitlines() if line.strip()]
    at, skips = 0, False
    for line in filter(str.strip, snippet.output.splitlines()):
        if line.strip() == _ANYTHING:
            skips = True
            continue
        wanted = re.compile(".*".join(map(re.escape, _blur(line, snippet.varies).split(_ANYTHING))))
        found = next((n for n in range(at, len(lines)) if wanted.fullmatch(lines[n])), None)
        if found is None or (found > at and not skips):
            return line
        at, skips = found + 1, False
    if at < len(lines) and not skips:
        return f"(nothing more, but there was: {lines[at]})"
    return None


def _replace(text: str, words: Mapping[str, str]) -> str:
    for word, other in words.items():
        text = re.sub(rf"\b{re.escape(word)}\b", other.replace("\\", r"\\"), text)
    return text


def _blur(line: str, varies: bool) -> str:
    """A line without what differs from run to run."""
    line = _COLOUR.sub("", line)
    line = _VARYING_TIME.sub(r"\1<time>", line)
    if varies:
        line = _TIME.sub("<time>", line)
    line = _SECRET.sub("<secret>", _UUID.sub("<id>", line))
    if varies:
        line = _NUMBER.sub("0", line)
    return " ".join(line.split())
