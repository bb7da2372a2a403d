"""The codes by which people find a room: short enough to say, too many to guess."""

from application.ports.secrets import Secrets
from domain.errors import NotFound

CODE_LENGTH = 8
# Crockford's base 32: no letters that look like digits, and no U.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MEANT = str.maketrans("OIL", "011", "- ")


def new_code(secrets: Secrets) -> str:
    """A code with 40 random bits."""
    return "".join(_ALPHABET[byte % 32] for byte in secrets.digest(secrets.new())[:CODE_LENGTH])


def normal_code(text: str) -> str:
    """The code that somebody means who typed this; NotFound if it can be none."""
    code = text.upper().translate(_MEANT)
    if len(code) != CODE_LENGTH or not set(code) <= set(_ALPHABET):
        raise NotFound
    return code
