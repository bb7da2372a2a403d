"""What was kept for long enough goes, however little of it goes at once."""

from application.retention import Expiring, Retention


async def test_all_goes_of_a_kind_that_drops_less_at_once_than_it_may() -> None:
    left = {"exports": 7, "tickets": 0}

    def kind(name: str) -> Expiring:
        async def forget(most: int) -> int:
            dropped = min(3, most, left[name])
            left[name] -= dropped
            return dropped

        return Expiring(name, forget)

    assert await Retention([kind("exports")], [kind("tickets")]).forget() == {"exports": 7}
    assert left == {"exports": 0, "tickets": 0}
