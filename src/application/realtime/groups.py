"""Members grouped by a common key, such as the format of their wires."""

from typing import TypeVar

K = TypeVar("K")
M = TypeVar("M")


class Groups(dict[K, set[M]]):
    """Sets of members by key. A set that becomes empty is removed."""

    def add(self, key: K, member: M) -> None:
        self.setdefault(key, set()).add(member)

    def discard(self, key: K, member: M) -> None:
        group = self.get(key)
        if group is not None:
            group.discard(member)
            if not group:
                del self[key]
