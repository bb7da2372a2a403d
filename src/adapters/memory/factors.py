"""Second factors in memory."""

from collections.abc import Sequence

from adapters.memory.database import Table, Tables, copied
from adapters.memory.unit import MemoryUnit
from application.ports.identity import FactorRepository
from domain.identity import FactorOn, SecondFactors
from domain.ids import AccountId

FACTORS: Table[AccountId, SecondFactors] = Table("second_factors")


class MemoryFactors(FactorRepository):
    """Second factors inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def get(self, account: AccountId) -> SecondFactors:
        found = self._unit.tables[FACTORS].get(account)
        self._unit.loaded["factors", account] = True
        return SecondFactors(account) if found is None else copied(found)

    async def with_secret(self, after: AccountId | None, most: int) -> Sequence[AccountId]:
        found = [id for id, factors in self._unit.tables[FACTORS].items() if factors.totp_secret is not None]
        return [id for id in sorted(found) if after is None or id > after][:most]

    def save(self, factors: SecondFactors) -> None:
        if ("factors", factors.account_id) not in self._unit.loaded:
            raise LookupError("These second factors were loaded by another unit of work.")

        def check(tables: Tables) -> None:
            mine = {passkey.credential_id for passkey in factors.passkeys.values()}
            for other in tables[FACTORS].values():
                theirs = {passkey.credential_id for passkey in other.passkeys.values()}
                if other.account_id != factors.account_id and mine & theirs:
                    raise FactorOn("This passkey is there already.")

        self._unit.saving(factors.account_id, factors, FACTORS, check)
