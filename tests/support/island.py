"""A host of its own, whose network can be cut or lossy; only root can make one."""

import ctypes
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

CLONE_NEWNET = 0x40000000
HERE, THERE = "02:00:00:00:00:01", "02:00:00:00:00:02"
# What passes in a while of 50 ms, and a queue of so little that a burst loses most of its packets.
RATE, BURST_BYTES, QUEUE_BYTES = "4mbit", 4_000, 6_000

_numbers = count()


class Island:
    """A network namespace at `address`, which a pair of virtual cables connects with this host, there `bridgehead`.

        with Island() as island:
            peer = island.new_socket()   # belongs there, whoever uses it
            island.vanish()          # nothing passes any more, and nobody is told
            island.come_back()
            island.lose_packets()    # in both directions, whenever more comes at once than little

    Namespaces and cables are named after this process, so that several sessions of tests may run beside each other.
    """

    def __init__(self) -> None:
        number = next(_numbers)
        self._name = f"sb{os.getpid()}-{number}"
        self._outer, self._inner = f"sb{os.getpid() % 10**7}o{number}", f"sb{os.getpid() % 10**7}i{number}"
        net = f"10.{200 + os.getpid() // 250 % 50}.{os.getpid() % 250}"
        self.bridgehead, self.address = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        try:
            peer = ("peer", "name", self._inner, "address", THERE, "netns", self._name)
            _ip("link", "add", self._outer, "address", HERE, "type", "veth", *peer)
            _ip("addr", "add", f"{self.bridgehead}/30", "dev", self._outer)
            _ip("link", "set", self._outer, "up")
            _ip("-n", self._name, "addr", "add", f"{self.address}/30", "dev", self._inner)
            self.come_back()
            # As if there were routers between: else a host that is gone is soon found to be unreachable.
            _ip("neigh", "add", self.address, "lladdr", THERE, "dev", self._outer)
            _ip("-n", self._name, "neigh", "add", self.bridgehead, "lladdr", HERE, "dev", self._inner)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def new_socket(self) -> socket.socket:
        """A socket that sends and listens there."""
        with ThreadPoolExecutor(1) as elsewhere:  # as a thread is moved and not the process
            return elsewhere.submit(self._new_socket).result()

    def connected(self, port: int) -> socket.socket:
        """A connection from there to a port of this host."""
        peer = self.new_socket()
        peer.connect((self.bridgehead, port))
        peer.setblocking(False)
        return peer

    def vanish(self) -> None:
        _ip("-n", self._name, "link", "set", self._inner, "down")

    def come_back(self) -> None:
        _ip("-n", self._name, "link", "set", self._inner, "up")

    def lose_packets(self) -> None:
        for where, device in ((["-n", self._name], self._inner), ([], self._outer)):
            # Else what is segmented only on a real card would pass as one huge packet.
            _ip(*where, "link", "set", device, "gso_max_segs", "1")
            bucket = ("tbf", "rate", RATE, "burst", str(BURST_BYTES), "limit", str(QUEUE_BYTES))
            _run("tc", *where, "qdisc", "add", "dev", device, "root", *bucket)

    def lost(self) -> int:
        """How many packets were lost so far."""
        found = 0
        for where, device in ((["-n", self._name], self._inner), ([], self._outer)):
            said = _run("tc", *where, "-s", "qdisc", "show", "dev", device)
            found += sum(int(part.split(",")[0]) for part in said.split("dropped ")[1:])
        return found

    def _new_socket(self) -> socket.socket:
        namespace = os.open(Path("/run/netns") / self._name, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(namespace)
        return socket.socket()

    def _remove(self) -> None:
        # With the namespace goes its end of the cable, and with that the other one, once nothing there is open.
        _ip("netns", "del", self._name)
        subprocess.run(["ip", "link", "del", self._outer], check=False, capture_output=True)


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
