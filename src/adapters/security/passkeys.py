"""Passkeys by the WebAuthn standard."""

import asyncio
import base64
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from application.ports.identity import AttestedPasskey, Authenticators
from domain.identity import CHALLENGE_LIFETIME, PasskeyRefused
from domain.ids import AccountId

T = TypeVar("T")

SITE_NAME = "Signalbox"
_TIMEOUT_MS = int(CHALLENGE_LIFETIME.total_seconds() * 1_000)
# Edwards curve, elliptic curve, and RSA, which older machines have: the ones that the standard wants offered.
_ALGORITHMS = (-8, -7, -257)


class WebAuthn(Authenticators):
    """Passkeys of the pages of an origin, whose host is the identity of the site.

    No attestation is asked for, so it does not matter who made an authenticator.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._site = urlsplit(origin).hostname or ""

    def creation(
        self, challenge: str, account: AccountId, name: str, display_name: str, known: Collection[bytes]
    ) -> Mapping[str, object]:
        return {
            "rp": {"id": self._site, "name": SITE_NAME},
            "user": {"id": _text(account.bytes), "name": name, "displayName": display_name},
            "challenge": _text(challenge.encode()),
            "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in _ALGORITHMS],
            "timeout": _TIMEOUT_MS,
            "excludeCredentials": _listed(known),
            "authenticatorSelection": {
                "residentKey": "preferred",
                "requireResidentKey": False,
                "userVerification": "preferred",
            },
            "attestation": "none",
        }

    def request(self, challenge: str, known: Collection[bytes], *, is_verifying: bool) -> Mapping[str, object]:
        return {
            "challenge": _text(challenge.encode()),
            "timeout": _TIMEOUT_MS,
            "rpId": self._site,
            "allowCredentials": _listed(known),
            "userVerification": "required" if is_verifying else "preferred",
        }

    def challenge_of(self, client_data: str) -> str:
        try:
            said = json.loads(_bytes(client_data))
            # Pages of other sites that show one of ours in a frame may not use its passkeys.
            if said.get("crossOrigin", False) is not False:
                raise _refused()
            return _bytes(said["challenge"]).decode("ascii")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise _refused() from None

    async def attested(self, client_data: str, attestation: str, challenge: str) -> AttestedPasskey:
        def verify(library: Any) -> AttestedPasskey:
            found = library.verify_registration_response(
                credential=_credential({"clientDataJSON": client_data, "attestationObject": attestation}),
                expected_challenge=challenge.encode(),
                expected_rp_id=self._site,
                expected_origin=self._origin,
                require_user_verification=False,
            )
            return AttestedPasskey(found.credential_id, found.credential_public_key, found.sign_count)

        return await _verified(verify)

    async def asserted(
        self,
        client_data: str,
        authenticator_data: str,
        signature: str,
        challenge: str,
        public_key: bytes,
        *,
        is_verifying: bool,
    ) -> int:
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": authenticator_data,
            "signature": signature,
        }

        def verify(library: Any) -> int:
            found = library.verify_authentication_response(
                credential=_credential(response),
                expected_challenge=challenge.encode(),
                expected_rp_id=self._site,
                expected_origin=self._origin,
                credential_public_key=public_key,
                credential_current_sign_count=0,  # whether it went back is decided where the last one is known
                require_user_verification=is_verifying,
            )
            return int(found.new_sign_count)

        return await _verified(verify)


async def _verified(verify: Callable[[Any], T]) -> T:
    """What `verify` finds, in a thread: an answer may hold much that has to be taken apart."""
    try:
        return await asyncio.to_thread(lambda: verify(_library()))
    except Exception:  # noqa: BLE001  # the library raises whatever the parser of a format raises
        # `from None`: the cause may quote what a stranger has sent.
        raise _refused() from None


def _library() -> Any:
    # Imported late: it takes 26 MiB and an eighth of a second, and most processes never need it.
    import webauthn  # noqa: PLC0415

    return webauthn


def _refused() -> PasskeyRefused:
    return PasskeyRefused("This is not the answer of an authenticator to the present question.")


def _credential(response: Mapping[str, str]) -> Mapping[str, object]:
    # The id is no part of what is signed: who asks knows which passkey this has to be.
    return {"id": "AA", "rawId": "AA", "type": "public-key", "response": response}


def _listed(known: Collection[bytes]) -> list[Mapping[str, str]]:
    return [{"type": "public-key", "id": _text(credential_id)} for credential_id in known]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
