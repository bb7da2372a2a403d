"""Text in messages whose bounds are those of its normal form, which is not known before the domain has made it."""

from msgspec import Meta

from domain.text import TYPED_MAX


def typed(
    longest: int, shortest: int = 1, *, told: str = "", examples: list[str] | None = None, format: str | None = None
) -> Meta:
    """What a field says of itself: the bounds in characters in words, and wider ones for what is read."""
    bounds = f"{shortest} to {longest} characters in its normal form."
    return Meta(
        min_length=1,
        max_length=TYPED_MAX * longest,
        description=f"{bounds} {told}".strip(),
        examples=examples,
        extra_json_schema={"format": format} if format else None,
    )
