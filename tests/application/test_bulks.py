"""A bulk as it is read: an atomic one whole or not at all, each operation of a partial one by itself."""

from uuid import UUID

import pytest

from application.reading import TooDeep
from application.tasks import Bulk, BulkCreate, BulkDelete
from application.tasks.messages import Misshapen
from domain.errors import Invalid

ID = UUID("0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e")
GOOD = f'{{"op": "delete", "id": "{ID}"}}, {{"op": "create", "task": {{"title": "one"}}}}'
BAD = '{"op": "create", "task": {"title": 5}}, {"op": "burn"}'


def text(operations: str, mode: str = "") -> bytes:
    return f'{{"operations": [{operations}]{mode}}}'.encode()


@pytest.mark.parametrize("mode", ["", ', "mode": "atomic"', ', "mode": "partial"'])
def test_what_can_be_read_is_read(mode: str) -> None:
    bulk = Bulk.read(text(GOOD, mode))
    assert [type(each) for each in bulk.operations] == [BulkDelete, BulkCreate]
    assert bulk.operations[0] == BulkDelete(ID)
    assert bulk.mode == ("partial" if "partial" in mode else "atomic")


def test_of_a_partial_one_what_cannot_be_read_stands_in_its_place() -> None:
    _, _, *bad = Bulk.read(text(f"{GOOD}, {BAD}", ', "mode": "partial"')).operations
    assert [each.pointer for each in bad if isinstance(each, Misshapen)] == ["/task/title", "/op"]


@pytest.mark.parametrize("mode", ["", ', "mode": "atomic"', ', "mode": "some"', ', "mode": "partial", "x": 1'])
def test_any_other_is_refused_as_a_whole(mode: str) -> None:
    with pytest.raises(Invalid):
        Bulk.read(text(f"{GOOD}, {BAD}", mode))


@pytest.mark.parametrize("operations", ["", ", ".join([GOOD] * 51)])
def test_one_of_none_or_of_too_many_is_refused(operations: str) -> None:
    with pytest.raises(Invalid):
        Bulk.read(text(operations, ', "mode": "partial"'))


def test_one_that_is_nested_too_deeply_is_refused_as_a_whole() -> None:
    deep = "[" * 100 + "]" * 100
    with pytest.raises(TooDeep):
        Bulk.read(text(f'{GOOD}, {{"op": {deep}}}', ', "mode": "partial"'))
