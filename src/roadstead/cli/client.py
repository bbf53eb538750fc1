"""The command line as a client of the API: with the key it finds, speaking nothing but HTTP."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from roadstead.cli.failures import CommandFailed
from roadstead.settings import read_settings

_RECONNECT_S = 1.0


class ApiProblem(CommandFailed):
    """The API said no, in its own words, or nothing at all."""


class ApiClient:
    """Calls the API of one platform with one key. Every call raises `ApiProblem`."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=httpx.Timeout(30, connect=5)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The JSON answer to a GET; parameters that are None are left out."""
        return self._call("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON answer to a POST."""
        return self._call("POST", path, json=body)

    def every(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page after page."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, **params)
            yield from page["items"]
            cursor = page.get("nextCursor")
            if cursor is None:
                return

    def events(
        self, path: str, *, connected: Callable[[], None], **params: Any
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-sent events (name, data), until the API ends them with a reason, which is raised.

        When the connection breaks it is made again and goes on after the last event, without a gap or a repeat.
        `connected` is called whenever that has succeeded.
        """
        query = {name: value for name, value in params.items() if value is not None}
        last = ""
        while True:
            try:
                for position, name, data in self._listen(path, query, last, connected):
                    last = position
                    if name == "error":
                        raise ApiProblem(_words_of(data) or "the stream was ended")
                    if name:
                        yield name, data
            except httpx.TransportError as error:
                if not last:
                    raise self._unreachable(error) from error
            time.sleep(_RECONNECT_S)

    def _listen(
        self, path: str, query: Mapping[str, Any], last: str, connected: Callable[[], None]
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Id, name and data of events; an id alone has no name."""
        headers = {"Last-Event-ID": last} if last else {}
        # The API says something at least every 15 seconds.
        timeout = httpx.Timeout(60, connect=5)
        with self._http.stream("GET", path, params=query, headers=headers, timeout=timeout) as response:
            if response.is_server_error and last:
                return  # it is just coming back
            if response.is_error:
                response.read()
                self._answer(response)
            connected()
            name, data = "", ""
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    last = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif not line:
                    yield last, name, json.loads(data) if data else {}
                    name, data = "", ""

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._answer(self._http.request(method, path, **options))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _answer(self, response: httpx.Response) -> Any:
        if response.is_success:
            return response.json() if response.content else None
        try:
            words = _words_of(response.json())
        except ValueError:
            words = ""
        raise ApiProblem(words or f"{response.request.url} answered {response.status_code} {response.reason_phrase}")

    def _unreachable(self, error: httpx.TransportError) -> ApiProblem:
        return ApiProblem(f"the API at {self.url} cannot be reached ({error}): is 'roadstead up' running?")


def _words_of(problem: Any) -> str:
    """What a problem+json says to people."""
    return str(problem.get("detail") or problem.get("title") or "") if isinstance(problem, dict) else ""


def connect(environment: Mapping[str, str] | None = None) -> ApiClient:
    """A client for `ROADSTEAD_URL` with `ROADSTEAD_API_KEY`, else for what `roadstead up` wrote to the data directory.

    Raises `CommandFailed` that says what to do when there is neither.
    """
    environment = os.environ if environment is None else environment
    url, key = environment.get("ROADSTEAD_URL"), environment.get("ROADSTEAD_API_KEY")
    if url and key:
        return ApiClient(url, key)
    credentials = read_credentials(read_settings(environment).data_dir)
    return ApiClient(url or credentials["url"], key or credentials["apiKey"])


def find_credentials(data_dir: Path) -> dict[str, str] | None:
    """What was written down for the first owner, if it is there. Raises `CommandFailed` when it cannot be read."""
    file = data_dir / "credentials.json"
    try:
        found: dict[str, str] = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandFailed(f"{file} cannot be read: {reason}. Run as the account that started the platform") from error
    return found


def read_credentials(data_dir: Path) -> dict[str, str]:
    """What was written down for the first owner. Raises `CommandFailed` when there is nothing to read."""
    found = find_credentials(data_dir)
    if found is None:
        raise CommandFailed(
            f"there is no {data_dir / 'credentials.json'}: start the platform with 'roadstead up', "
            "set ROADSTEAD_DATA_DIR, or set ROADSTEAD_URL and ROADSTEAD_API_KEY"
        )
    return found
