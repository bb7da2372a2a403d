"""Second factors in PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update

from adapters.postgres.failures import REFUSALS
from adapters.postgres.statement import Part, Statement, bound
from adapters.postgres.tables import passkeys, second_factors
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.identity import FactorRepository
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.identity import FactorOn, Passkey, SecondFactors
from domain.ids import AccountId, PasskeyId

# Two who save the first factors of an account at once. Another try sees those of the other one.
REFUSALS["pk_second_factors"] = Stale
REFUSALS["fk_second_factors_account_id"] = NotFound
REFUSALS["uq_passkeys_credential_id"] = lambda: FactorOn("This passkey is there already.")

_OWN = ("totp_secret", "totp_at", "totp_step", "recovery_codes", "spent", "version")
_own_of = attrgetter(*_OWN)
_PASSKEY = tuple(field.name for field in fields(Passkey))
_passkey_values = attrgetter(*_PASSKEY)

_GET = Statement(
    select(*(second_factors.c[name] for name in _OWN)).where(second_factors.c.account_id == bindparam("account"))
)
_PASSKEYS = Statement(
    select(*(passkeys.c[name] for name in _PASSKEY))
    .where(passkeys.c.account_id == bindparam("account"))
    .order_by(passkeys.c.id)
)
_WITH_SECRET = Statement(
    select(second_factors.c.account_id)
    .where(second_factors.c.account_id > bindparam("after"), second_factors.c.totp_secret.is_not(None))
    .order_by(second_factors.c.account_id)
    .limit(bindparam("most"))
)
_INSERT = Statement(insert(second_factors).values(bound("account_id", *_OWN)))
_UPDATE = Statement(
    update(second_factors)
    .where(second_factors.c.account_id == bindparam("key"), second_factors.c.version == bindparam("loaded"))
    .values(bound(*_OWN))
)
_INSERT_PASSKEY = Statement(insert(passkeys).values(bound("account_id", *_PASSKEY)))
_UPDATE_PASSKEY = Statement(
    update(passkeys).where(passkeys.c.id == bindparam("key")).values(bound("sign_count", "name", "used_at"))
)
_DELETE_PASSKEY = Statement(delete(passkeys).where(passkeys.c.id == bindparam("key")))


class PostgresFactors(FactorRepository):
    """Second factors inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def get(self, account: AccountId) -> SecondFactors:
        factors = SecondFactors(account)
        row = await self._unit.fetchrow(_GET, account=account)
        if row is not None:
            *values, factors.version = row
            factors.totp_secret, factors.totp_at, factors.totp_step, factors.recovery_codes, factors.spent = values
            rows = await self._unit.fetch(_PASSKEYS, account=account)
            factors.passkeys = {PasskeyId(each[0]): Passkey(*each) for each in rows}
        # The aggregate never changes its passkeys in place, so they can be compared with those that were loaded.
        self._unit.loaded["passkeys", account] = factors.passkeys
        return factors

    async def with_secret(self, after: AccountId | None, most: int) -> Sequence[AccountId]:
        rows = await self._unit.fetch(_WITH_SECRET, after=after or UUID(int=0), most=most)
        return [AccountId(id) for (id,) in rows]

    def save(self, factors: SecondFactors) -> None:
        before = self._unit.loaded["passkeys", factors.account_id]

        def writes(loaded: int) -> Iterable[Part]:
            values = dict(zip(_OWN, _own_of(factors), strict=True))
            if loaded:
                yield _UPDATE.part(values | {"key": factors.account_id, "loaded": loaded})
            else:
                yield _INSERT.part(values | {"account_id": factors.account_id})
            yield from _passkey_writes(factors.account_id, before, factors.passkeys)

        self._unit.saving(factors, writes)


def _passkey_writes(
    account: AccountId, before: Mapping[PasskeyId, Passkey], after: Mapping[PasskeyId, Passkey]
) -> Iterable[Part]:
    for id, passkey in after.items():
        values = dict(zip(_PASSKEY, _passkey_values(passkey), strict=True))
        if id not in before:
            yield _INSERT_PASSKEY.part(values | {"account_id": account})
        elif before[id] != passkey:
            yield _UPDATE_PASSKEY.part(values | {"key": id})
    for id in before.keys() - after.keys():
        yield _DELETE_PASSKEY.part({"key": id})
