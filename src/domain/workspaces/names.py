"""The names of a workspace: its name, its slug, and the prefix of its tasks' keys."""

import re
from string import digits

from domain.errors import Invalid
from domain.text import normal_name
from domain.words import folded

NAME_MAX = 100
TASK_PREFIX_MAX = 5
TASK_PREFIX_FALLBACK = "TASK"
_APOSTROPHE = re.compile(r"['\u2019]")
_WORD = re.compile(r"[^\W_]+")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,38})[a-z0-9]\Z")


def task_prefix(name: str) -> str:
    """The prefix of the keys of a workspace's tasks: two to five of A to Z and 0 to 9, a letter first.

    It is the initials of several words, or the beginning of one word. A name that gives neither has `TASK`.
    """
    plain = (word.encode("ascii", "ignore").decode() for word in _WORD.findall(folded(_APOSTROPHE.sub("", name))))
    words = [word.upper() for word in plain if word]
    initials = "".join(word[0] for word in words).lstrip(digits)[:TASK_PREFIX_MAX]
    beginning = "".join(words).lstrip(digits)[:3]
    return next((prefix for prefix in (initials, beginning) if len(prefix) > 1), TASK_PREFIX_FALLBACK)


def workspace_name(name: str) -> str:
    return normal_name(name, pointer="/name", longest=NAME_MAX, shortest=1)


def workspace_slug(slug: str) -> str:
    if not _SLUG.match(slug):
        raise Invalid(
            "A slug has 3 to 40 lower-case letters, digits and hyphens, with no hyphen at either end.", pointer="/slug"
        )
    return slug
