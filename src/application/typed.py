"""The schema of text fields whose bounds apply to the normal form, which only the domain makes."""

from msgspec import Meta

from domain.text import TYPED_MAX


def typed(
    longest: int, shortest: int = 1, *, told: str = "", examples: list[str] | None = None, format: str | None = None
) -> Meta:
    """The metadata of a field: its bounds in characters in the description, and wider bounds for the typed text."""
    bounds = f"{shortest} to {longest} characters in its normal form."
    return Meta(
        min_length=1,
        max_length=TYPED_MAX * longest,
        description=f"{bounds} {told}".strip(),
        examples=examples,
        extra_json_schema={"format": format} if format else None,
    )
