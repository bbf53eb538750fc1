"""What every route has in common."""

from tests.conftest import Tenant
from tests.dialects.lightelligence.contract import Client


async def test_what_is_not_there_is_told_in_the_words_of_the_dialect(acme: Tenant) -> None:
    client = await Client.of(acme)
    answer = await client.http.get("/v1/nothing")
    assert answer.status_code == 404
    assert set(answer.json()) == {"errorMessage", "errorCode"}
