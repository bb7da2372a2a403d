"""The time zone and the locale of a profile: which are accepted, and in which form they are kept."""

import re
from collections.abc import Sequence
from itertools import takewhile
from zoneinfo import ZoneInfo

from domain.errors import Invalid

TIME_ZONE_FIRST, LOCALE_FIRST = "UTC", "en"
TIME_ZONE_MAX = 64
LOCALE_MAX = 35

# A name of the IANA database. The excluded ones are of some installations only, or stand for no place.
_ZONE = re.compile(
    r"(?!posix/|right/|posixrules\Z|localtime\Z|Factory\Z)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}\Z", re.ASCII
)
# BCP 47: language, script, region, variants, extensions. Tags of private use alone and grandfathered ones say nothing
# to anybody.
_LOCALE = re.compile(
    r"(?P<language>[a-z]{2,3})(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<rest>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*)\Z",
    re.ASCII | re.IGNORECASE,
)


def known_time_zone(name: str) -> str:
    """The name of a time zone, if the IANA database has it; otherwise Invalid."""
    try:
        if len(name) <= TIME_ZONE_MAX and _ZONE.match(name):
            return ZoneInfo(name).key
    except (OSError, ValueError, KeyError):  # a folder, no file of a zone, and a name that is not there
        pass
    raise Invalid("This is not the name of a time zone, such as Europe/Berlin.", pointer="/time_zone")


def normal_locale(tag: str) -> str:
    """A language tag in its usual form (`de-at` becomes `de-AT`); Invalid if it cannot be one (BCP 47)."""
    found = _LOCALE.match(tag) if len(tag) <= LOCALE_MAX else None
    if found is None or _has_twice(found["rest"].lower().split("-")[1:]):
        raise Invalid("This is not the tag of a language, such as en or de-AT.", pointer="/locale")
    parts = [found["language"].lower()]
    if found["script"]:
        parts.append(found["script"].title())
    if found["region"]:
        parts.append(found["region"].upper())
    return "-".join(parts) + found["rest"].lower()


def _has_twice(parts: Sequence[str]) -> bool:
    """Whether a variant or the letter of an extension comes twice; within extensions anything may."""
    singles = [part for part in parts if len(part) == 1]
    variants = list(takewhile(lambda part: len(part) > 1, parts))
    return any(len(set(each)) < len(each) for each in (singles, variants))
