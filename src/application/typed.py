"""Text in messages whose bounds are those of its normal form, which is not known before the domain has made it."""

from collections.abc import Mapping

from msgspec import Meta

from domain.text import TYPED_MAX


def typed(longest: int, shortest: int = 1, *, examples: list[str] | None = None, **schema: str) -> Meta:
    """The bounds of a field: in its schema those of the normal form, for the reader of JSON wider ones."""
    told: Mapping[str, object] = {"minLength": shortest, "maxLength": longest, **schema}
    return Meta(min_length=1, max_length=TYPED_MAX * longest, examples=examples, extra_json_schema=dict(told))
