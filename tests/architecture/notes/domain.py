"""Notes: their kinds of channels, and the entries by which somebody loses the right to one."""

from uuid import UUID

from domain.channels import About, ChannelClass, ChannelKind, Loss, by_id

NOTE = ChannelKind("note", ChannelClass.DURABLE, by_id, is_place=True)
STATUS = ChannelKind("status", ChannelClass.KEYED, About(NOTE))
WAVES = ChannelKind("waves", ChannelClass.EPHEMERAL, About(NOTE))
LOSSES = (Loss("participant.left", "participant"), Loss("note.burnt"))


def note_stream(id: UUID) -> str:
    return f"note:{id}"
