"""What callers are told when a connection to the database breaks under their request."""

import psycopg

from tests.conftest import Tenant

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'roadstead_tenant'"


async def test_a_connection_that_breaks_in_a_route_is_503_and_the_next_request_works(
    acme: Tenant, database_url: str
) -> None:
    assert (await acme.api.get("/api/v1/devices")).status_code == 200
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(CUT)

    statuses: list[int] = []
    while not statuses or statuses[-1] != 200:
        answer = await acme.api.get("/api/v1/devices")
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
    assert 503 in statuses
