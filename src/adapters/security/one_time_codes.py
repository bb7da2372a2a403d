"""Codes of authenticator apps (RFC 6238)."""

from datetime import datetime
from hmac import compare_digest

import pyotp

from application.ports.identity import OneTimeCodes

ISSUER = "Signalbox"
STEP_SECONDS = 30
# The clock of a telephone may be wrong by as much.
SKEW = 1


class TotpCodes(OneTimeCodes):
    """Six digits for every 30 s, by HMAC-SHA1 of 160 random bits: what every app can do."""

    def new_secret(self) -> str:
        return pyotp.random_base32(32)

    def address(self, secret: str, name: str) -> str:
        return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)

    def step(self, secret: str, code: str, at: datetime) -> int | None:
        typed = "".join(code.split()).encode("utf-8", "surrogatepass")
        totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
        now = totp.timecode(at)
        # The newest first: that of a code which two steps share is the one that leaves less to replay.
        for step in range(now + SKEW, now - SKEW - 1, -1):
            if compare_digest(totp.generate_otp(step).encode(), typed):
                return step
        return None
