"""Authenticators in software: an app that makes codes, and a device that makes and proves passkeys as WebAuthn says."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import cbor2
import pyotp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.clients import PASSWORD, Json, Person, done

SITE = "127.0.0.1"
ORIGIN = "http://127.0.0.1:8000"
# The bits of what an authenticator says about its user and what follows.
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def code_of(secret: str, at: datetime, steps: int = 0) -> str:
    """What an authenticator app shows at this time, or so many steps later."""
    return pyotp.TOTP(secret).at(at, counter_offset=steps)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """A device with one passkey, in the browser on a page at `origin`, for which it believes to be on `site`.

    `count` is the number of its signatures; one that is None counts nothing, as passkeys of telephones do.
    """

    site: str = SITE
    origin: str = ORIGIN
    count: int | None = 0
    flags: int = PRESENT | VERIFIED
    is_framed: bool = False

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = uuid4().bytes
        self.user_handle = b""

    def make(self, question: Mapping[str, Any]) -> Json:
        """The answer to a question for a new passkey."""
        self.user_handle = decoded(question["user"]["id"])
        point = self.key.public_key().public_numbers()
        key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + key
        data = {"fmt": "none", "attStmt": {}, "authData": self._data(self.flags | ATTESTED) + attested}
        client_data = self._client_data("webauthn.create", question["challenge"])
        return self._answer({"clientDataJSON": encoded(client_data), "attestationObject": encoded(cbor2.dumps(data))})

    def prove(self, question: Mapping[str, Any], **changes: str | None) -> Json:
        """The answer to a question for a passkey that is there, with these parts of the response in place of others."""
        if self.count is not None:
            self.count += 1
        data, client_data = self._data(self.flags), self._client_data("webauthn.get", question["challenge"])
        signature = self.key.sign(data + sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": encoded(client_data),
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
            "userHandle": encoded(self.user_handle),
        }
        return self._answer(response | changes)

    def _data(self, flags: int) -> bytes:
        return sha256(self.site.encode()).digest() + bytes([flags]) + (self.count or 0).to_bytes(4)

    def _client_data(self, type: str, challenge: str) -> bytes:
        said = {"type": type, "challenge": challenge, "origin": self.origin, "crossOrigin": self.is_framed}
        return json.dumps(said).encode()

    def _answer(self, response: Mapping[str, str | None]) -> Json:
        """As `toJSON()` of a browser shows it."""
        id = encoded(self.credential_id)
        return {
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": dict(response),
        }


async def an_attestation(person: Person, device: Authenticator | None = None, **proof: str) -> Json:
    """A new passkey, which was asked for and is not sent yet. Where there is a factor, `proof` is of one."""
    question = done(await person.post("/auth/mfa/passkeys/options", {"password": PASSWORD} | proof))["public_key"]
    return (device or Authenticator()).make(question)


async def a_passkey(person: Person, device: Authenticator | None = None) -> Json:
    """A passkey that the account has from now on, and its recovery codes if it is the first factor."""
    body = {"passkey": await an_attestation(person, device), "name": "Laptop"}
    added: Json = done(await person.post("/auth/mfa/passkeys", body))
    return added
