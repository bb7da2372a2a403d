"""Texts that are good for a few minutes, and begin with the second in which they end."""

from datetime import UTC, datetime, timedelta

CHALLENGE_LIFETIME = timedelta(minutes=5)


def ending(at: datetime, content: str) -> str:
    """The content as a text that is good until then."""
    return f"{int(at.timestamp())}.{content}"


def is_over(text: str, at: datetime) -> bool:
    """Whether the time of this text is over. What is no such text is over as well."""
    second = text.partition(".")[0]
    return not second.isascii() or not second.isdigit() or at >= datetime.fromtimestamp(int(second[:11]), UTC)
