"""How many connections may stand open before their `connect`: of one address, and of all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.observer import MemoryObserver
from application.realtime.doorstep import Doorstep
from domain.errors import Exhausted, Unavailable


def doorstep(per_address: int = 2, most: int = 3, is_limited: bool = True) -> Doorstep:
    return Doorstep(per_address, most, is_limited, MemoryObserver())


def test_an_address_may_have_so_many_and_others_are_not_concerned() -> None:
    step = doorstep()
    leave = step.arrive("a")
    step.arrive("a")
    with pytest.raises(Exhausted):
        step.arrive("a")
    step.arrive("b")
    leave()
    step.arrive("a")


def test_all_addresses_together_may_have_so_many() -> None:
    step = doorstep()
    leaves = [step.arrive(address) for address in "abc"]
    with pytest.raises(Unavailable):
        step.arrive("d")
    leaves[0]()
    step.arrive("d")


def test_without_limits_they_are_counted_all_the_same() -> None:
    step = doorstep(is_limited=False)
    for _ in range(10):
        step.arrive("a")
    assert len(step) == 10


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
def test_what_is_counted_is_what_is_there_and_nothing_is_kept_of_who_has_gone(
    deeds: list[tuple[bool, str]],
) -> None:
    step = doorstep()
    there = {address: list[object]() for address in "abc"}
    for arrives, address in deeds:
        all_there = sum(map(len, there.values()))
        if not arrives:
            if there[address]:
                there[address].pop()()  # type: ignore[operator]
        elif len(there[address]) == 2:
            with pytest.raises(Exhausted):
                step.arrive(address)
        elif all_there == 3:
            with pytest.raises(Unavailable):
                step.arrive(address)
        else:
            there[address].append(step.arrive(address))
        assert len(step) == sum(map(len, there.values()))
        assert set(step._by_address) == {address for address, stands in there.items() if stands}
