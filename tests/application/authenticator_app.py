"""An authenticator app, and the two steps in which somebody who has one signs in."""

import pytest

from application.identity import (
    CodeProof,
    Credentials,
    FactorAddition,
    MfaRequired,
    SecondStep,
)
from tests.application.front_door import HOME, PASSWORD, FrontDoor, Visit
from tests.support.authenticators import code_of


class App:
    """An authenticator app that has the secret of an account, and the codes that came with it."""

    def __init__(self, door: FrontDoor, secret: str) -> None:
        self._door = door
        self.secret = secret
        self.recovery_codes: list[str] = []

    def code(self, steps: int = 0) -> str:
        return code_of(self.secret, self._door.clock.now(), steps)

    async def next_code(self) -> str:
        """The next code, which was never used."""
        self._door.wait(seconds=30)
        return self.code()


async def begin(door: FrontDoor, visit: Visit, **proof: str) -> App:
    addition = FactorAddition(password=PASSWORD, **proof)  # type: ignore[arg-type]
    found = await door.factors.begin_totp(visit.actor, addition)
    assert found.uri.startswith("otpauth://totp/Signalbox:ada%40example.org?")
    assert found.secret in found.uri
    return App(door, found.secret)


async def set_up(door: FrontDoor, visit: Visit) -> App:
    app = await begin(door, visit)
    app.recovery_codes = (await door.factors.confirm_totp(visit.actor, CodeProof(app.code()))).recovery_codes
    return app


async def first_step(door: FrontDoor, password: str = PASSWORD) -> str:
    """The token that stands for the right password."""
    with pytest.raises(MfaRequired) as asked:
        await door.identity.log_in(Credentials("ada@example.org", password), HOME)
    return str(asked.value.extra["mfa_token"])


async def second_step(door: FrontDoor, token: str, **proof: str) -> Visit:
    return door.visit(*await door.second_steps.verify(SecondStep(mfa_token=token, **proof), HOME))  # type: ignore[arg-type]
