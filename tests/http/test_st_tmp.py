import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from entrypoints import VERSION
from entrypoints.container import in_memory
from entrypoints.http.openapi import document
from tests.support.clients import *
from tests.support.server import ServerProcess
from tests.support.services import run_apart

schema = schemathesis.openapi.from_dict(document(in_memory().litestar(), VERSION))

PEOPLE = {}


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    s = ServerProcess(new_database(), tmp_path_factory.mktemp("s") / "log", None, {"RATE_LIMIT_ENABLED": "false"})
    s.start()
    yield s
    s.stop()
    print(s.log()[-3000:])


@schema.exclude(operation_id="stream_events").parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_api(case, server):
    async def up():
        async with client(server.base_url) as http:
            return await sign_up(http)

    p = PEOPLE.get(case.operation.label) or PEOPLE.setdefault(case.operation.label, run_apart(up))
    case.call_and_validate(base_url=server.base_url, headers=p.authorization)
