"""The rules of passwords."""

import re

from domain.errors import Invalid
from domain.text import UNSTORABLE, normal_password

PASSWORD_MIN = 10
PASSWORD_MAX = 1_024


class WrongPassword(Invalid):
    """The given password is not the present one."""

    code = "wrong_password"

    def __init__(self, pointer: str = "/password") -> None:
        super().__init__("This is not the present password of the account.", pointer=pointer)


# The stems of the passwords at the top of every published list. Padding alone makes them ten characters long.
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
    """Invalid if the password is too short or too long, or is among the first of every list of breached passwords.

    It has 10 to 1,024 characters in its normal form, all of which count. There is no rule about which characters it
    contains (NIST SP 800-63B).
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
