"""Runs a command in a network that leads nowhere, and tells of every attempt to leave it.

To be run in a network namespace of its own, which has no interface but its loopback. There all other
addresses are led to the loopback, too: whatever a process sends is seen, whoever it is for, and refused at
once unless it is for this machine. So is each question for a name, also one to a name server on the loopback.
Python processes tell by themselves as well, and from which line of code: see `tattle`. `warden.py REPORT
COMMAND...`: REPORT is a JSON list; the exit code is the command's.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_TATTLE = Path(__file__).with_name("tattle")
_IP4, _IP6 = 0x0800, 0x86DD
_TCP, _UDP = 6, 17
_SYN, _HANDSHAKE = 0x02, 0x12  # a refusal, which answers with other flags, is no attempt
_NAMES = 53
_SET_FLAGS, _GET_FLAGS, _UP = 0x8914, 0x8913, 1


def main(report: str, *command: str) -> int:
    """Return the command's exit code."""
    _furnish()
    with tempfile.TemporaryDirectory(prefix="warden-") as folder:
        told = Path(folder) / "told.jsonl"
        told.touch()
        environment = os.environ | {
            "TENKEN_TATTLE": str(told),
            "PYTHONPATH": f"{_TATTLE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        with Watch() as watch:
            code = subprocess.run(command, env=environment, check=False).returncode
        found = [*watch.seen, *map(json.loads, told.read_text("utf-8").splitlines())]
    Path(report).write_text(json.dumps(found, indent=1), "utf-8")
    return code


def _furnish() -> None:
    """Bring up the loopback, and have it take what is for anybody else."""
    _up("lo")
    subprocess.run(["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"], check=True)
    # IPv6 may be switched off in this kernel; then nothing can leave by it.
    words = ["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"]
    subprocess.run(words, check=False, stderr=subprocess.DEVNULL)


def _up(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", name.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _GET_FLAGS, request))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", name.encode(), flags | _UP))


class Watch:
    """Sees packets that leave, while inside."""

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self._end, self._told = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="watch")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        os.write(self._told, b".")
        self._thread.join()
        self._socket.close()
        os.close(self._end)
        os.close(self._told)

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket, self._end], [], [])
            if self._socket in ready:
                packet, (_, protocol, kind, *_) = self._socket.recvfrom(2048)
                if kind == socket.PACKET_OUTGOING:
                    self._look(protocol, packet)
            elif self._end in ready:
                return

    def _look(self, protocol: int, packet: bytes) -> None:
        for transport, address, port in _read(protocol, packet):
            if port == _NAMES or not ipaddress.ip_address(address).is_loopback:
                attempt = {"seen": "packet", "to": f"{address}:{port}", "transport": transport}
                if attempt not in self.seen:
                    self.seen.append(attempt)


def _read(protocol: int, packet: bytes) -> Iterator[tuple[str, str, int]]:
    """Give transport, address and port of a packet by UDP, and of one that opens a connection by TCP."""
    if protocol == _IP4:
        length, transport = 4 * (packet[0] & 0x0F), packet[9]
        address = socket.inet_ntop(socket.AF_INET, packet[16:20])
    elif protocol == _IP6:
        length, transport = 40, packet[6]
        address = socket.inet_ntop(socket.AF_INET6, packet[24:40])
    else:
        return
    (port,) = struct.unpack("!H", packet[length + 2 : length + 4])
    if transport == _UDP:
        yield "udp", address, port
    elif transport == _TCP and packet[length + 13] & _HANDSHAKE == _SYN:
        yield "tcp", address, port


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
