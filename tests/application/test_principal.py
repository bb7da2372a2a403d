"""What a credential that is no session may do: at one place, from some networks, and no more than its scopes say."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from application.principal import Principal
from application.scopes import ScopeMissing
from domain.errors import Forbidden, NotFound
from domain.identity import AccountRole
from domain.ids import AccountId

PLACE, OTHER = UUID(int=1), UUID(int=2)
SESSION = Principal(AccountId(UUID(int=3)), UUID(int=4), AccountRole.USER, datetime(2027, 1, 1, tzinfo=UTC))
KEY = replace(SESSION, scopes=frozenset({"tasks:read"}))
HERE = replace(KEY, within=f"workspace:{PLACE}")


def test_one_for_a_place_sees_what_is_there_and_nothing_else() -> None:
    assert (HERE.place, KEY.place) == (PLACE, None)
    HERE.require_within(OTHER, PLACE)
    KEY.require_within(OTHER)
    for places in ((), (OTHER,), (None,)):
        with pytest.raises(NotFound):
            HERE.require_within(*places)


def test_one_for_a_place_makes_nothing_that_is_in_none() -> None:
    KEY.require_anywhere()
    with pytest.raises(Forbidden):
        HERE.require_anywhere()


@pytest.mark.parametrize(
    ("mine", "theirs"), [(SESSION, SESSION), (SESSION, HERE), (KEY, KEY), (KEY, HERE), (HERE, HERE)]
)
def test_one_that_may_as_much_has_the_rights_of_the_other(mine: Principal, theirs: Principal) -> None:
    mine.require_rights_of(theirs)


@pytest.mark.parametrize(
    ("mine", "theirs", "refusal"),
    [
        (KEY, SESSION, ScopeMissing),
        (KEY, replace(KEY, scopes=frozenset({"tasks:read", "tasks:write"})), ScopeMissing),
        (HERE, KEY, Forbidden),
        (HERE, replace(HERE, within=f"workspace:{OTHER}"), Forbidden),
    ],
)
def test_one_that_may_less_has_not(mine: Principal, theirs: Principal, refusal: type[Forbidden]) -> None:
    with pytest.raises(refusal):
        mine.require_rights_of(theirs)


@pytest.mark.parametrize(
    ("address", "comes_in"),
    [("198.51.100.7", True), ("2001:db8::7", True), ("198.51.101.7", False), ("testclient", False), ("", False)],
)
def test_one_for_some_networks_is_used_from_there_alone(address: str, comes_in: bool) -> None:
    office = replace(KEY, networks=("198.51.100.0/24", "2001:db8::/32"))
    assert office.may_come_from(address) == comes_in
    assert KEY.may_come_from(address)
