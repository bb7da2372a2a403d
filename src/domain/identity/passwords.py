"""What may be a password."""

import re

from domain.errors import Invalid
from domain.text import UNSTORABLE, normal_password

PASSWORD_MIN = 10
PASSWORD_MAX = 1_024


class WrongPassword(Invalid):
    """The present password was not the one given."""

    code = "wrong_password"


# The stems of the passwords that lead every published list, each far below ten characters without its padding.
_COMMON_STEMS = frozenset(
    [
        "password",
        "passwort",
        "passw",
        "passwd",
        "qwerty",
        "qwertz",
        "azerty",
        "qwertyuiop",
        "asdfgh",
        "asdfghjkl",
        "zxcvbn",
        "zxcvbnm",
        "letmein",
        "welcome",
        "iloveyou",
        "admin",
        "administrator",
        "root",
        "login",
        "master",
        "dragon",
        "monkey",
        "football",
        "baseball",
        "superman",
        "batman",
        "trustno",
        "sunshine",
        "princess",
        "shadow",
        "michael",
        "jordan",
        "abc",
        "abcd",
        "abcdef",
        "abcdefgh",
        "test",
        "testtest",
        "testing",
        "guest",
        "default",
        "changeme",
        "change",
        "secret",
        "access",
        "hello",
        "whatever",
        "starwars",
        "pokemon",
        "computer",
        "internet",
        "samsung",
        "google",
        "facebook",
        "liverpool",
        "chelsea",
        "arsenal",
        "barcelona",
        "jesus",
        "ashley",
        "nicole",
        "summer",
        "winter",
        "spring",
        "autumn",
        "signalbox",
    ]
)
_PADDING = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_DISGUISES = str.maketrans("013457@$", "oieastas")
_KEYBOARD_ROWS = ("01234567890", "09876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def check_password(password: str, email: str, pointer: str = "/password") -> None:
    """Invalid unless it is long enough and not one that every list of breached passwords starts with.

    10 to 1,024 characters in their normal form with no rule of composition (NIST SP 800-63B); every character counts.
    """
    password = normal_password(password)
    if len(password) < PASSWORD_MIN:
        raise Invalid(f"A password has at least {PASSWORD_MIN} characters.", pointer=pointer)
    if len(password) > PASSWORD_MAX:
        raise Invalid(f"At most {PASSWORD_MAX} characters fit here.", pointer=pointer)
    if UNSTORABLE.search(password):
        raise Invalid("This contains something that nobody can type.", pointer=pointer)
    folded = password.casefold()
    stem = re.sub(r"[\W\d_]+", "", folded)
    disguised = re.sub(r"[\W\d_]+", "", _PADDING.sub("", folded).translate(_DISGUISES))
    half = len(stem) // 2
    if (
        len(set(folded)) < 4
        or stem in _COMMON_STEMS
        or disguised in _COMMON_STEMS
        or (stem[:half] == stem[half:] and stem[:half] in _COMMON_STEMS)
        or any(folded in row * 2 for row in _KEYBOARD_ROWS)
        or (folded.isascii() and not stem and len(folded) < 14)
        or folded in (address := normal_password(email).casefold(), address.partition("@")[0])
    ):
        raise Invalid("This password is among the first that anyone would try.", pointer=pointer)
