"""A compose file's services as containers of docker or podman alone, with no compose installed.

Every field of a service is heeded, listed as left out, or an error: nothing runs with less than it says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LEFT_OUT = {"restart", "image", "build", "depends_on", "logging", "networks", "stop_grace_period"}
_SECONDS = 600


@dataclass(slots=True)
class Containers:
    """The networks, volumes and containers of one test, each with its prefix; `end` leaves none."""

    compose: dict[str, Any]
    prefix: str
    secrets: dict[str, Path]
    images: dict[str, str]
    program: str = ""
    made: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.program = self.program or container_program()

    def call(self, *words: object, ok: bool = True) -> str:
        """Return what the container program prints, errors too."""
        done = subprocess.run(
            [self.program, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not ok, f"{words}: {done.stdout[-3000:]}"
        return done.stdout

    def prepare(self) -> None:
        """Make networks and volumes."""
        for name, network in self.compose["networks"].items():
            internal = ["--internal"] if network.get("internal") else []
            self.call("network", "create", *internal, f"{self.prefix}-{name}")
            self.made.append(("network", f"{self.prefix}-{name}"))
        for name in self.compose["volumes"]:
            self.call("volume", "create", f"{self.prefix}-{name}")
            self.made.append(("volume", f"{self.prefix}-{name}"))

    def run_once(self, service: str, *words: str) -> str:
        """Return what a command prints in a container of its own, as `compose run --rm --no-deps` does."""
        networks = self.compose["services"][service]["networks"]
        flags = [word for word in self._flags(service) if not word.startswith("--publish=")]
        return self.call(
            "run", "--rm", f"--network={self.prefix}-{networks[0]}", *flags, self.images[service], *words
        )

    def start(self, service: str) -> None:
        """Start a service that is in all of its networks by its own name."""
        name = f"{self.prefix}-{service}"
        # Ports are published through the network that has a way out.
        open_first = sorted(
            self.compose["services"][service]["networks"],
            key=lambda network: bool(self.compose["networks"][network].get("internal")),
        )
        names = [f"--network={self.prefix}-{open_first[0]}", f"--network-alias={service}"]
        self.call("create", f"--name={name}", *names, *self._flags(service), self.images[service])
        self.made.append(("container", name))
        for network in open_first[1:]:
            self.call("network", "connect", f"--alias={service}", f"{self.prefix}-{network}", name)
        self.call("start", name)

    def until_healthy(self, service: str, seconds: float = 300) -> None:
        """Wait for the image's own health check."""
        name, end = f"{self.prefix}-{service}", time.monotonic() + seconds
        while not self._is_healthy(name):
            assert time.monotonic() < end, self.call("logs", name)[-3000:]
            time.sleep(1)

    def _is_healthy(self, name: str) -> bool:
        if self.program.endswith("podman"):  # which leaves the checking to systemd, where there is one
            command = [self.program, "healthcheck", "run", name]
            return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
        return self.call("inspect", "--format", "{{.State.Health.Status}}", name).strip() == "healthy"

    def port(self, service: str) -> int:
        """Return where this machine reaches the service."""
        return int(self.call("port", f"{self.prefix}-{service}").split(":")[-1])

    def stop(self, service: str, seconds: int = 60) -> int:
        """Ask it to end, and return its exit code."""
        name = f"{self.prefix}-{service}"
        self.call("stop", "-t", seconds, name)
        return int(self.call("inspect", "--format", "{{.State.ExitCode}}", name))

    def end(self) -> None:
        """Remove all of it, containers first."""
        order = ("container", "volume", "network")
        for kind, name in sorted(self.made, key=lambda one: order.index(one[0])):
            self.call(kind, "rm", *(["--force", "--volumes"] if kind == "container" else []), name, ok=False)

    def _flags(self, service: str) -> list[str]:
        flags: list[str] = []
        for key, value in self.compose["services"][service].items():
            flags += _FLAGS[key](self, value) if key in _FLAGS else []
            assert key in _FLAGS or key in _LEFT_OUT, f"{service}.{key} is not heeded"
        return flags

    def _volumes(self, volumes: list[str]) -> list[str]:
        return [f"--volume={self.prefix}-{volume}" for volume in volumes]

    def _secrets(self, names: list[str]) -> list[str]:
        return [f"--volume={self.secrets[name]}:/run/secrets/{name}:ro" for name in names]


_FLAGS: dict[str, Any] = {
    "init": lambda self, value: ["--init"] if value else [],
    "read_only": lambda self, value: ["--read-only"] if value else [],
    "user": lambda self, value: [f"--user={value}"],
    "cap_drop": lambda self, value: [f"--cap-drop={one}" for one in value],
    "security_opt": lambda self, value: [f"--security-opt={one.replace(':true', '')}" for one in value],
    "pids_limit": lambda self, value: [f"--pids-limit={value}"],
    "mem_limit": lambda self, value: [f"--memory={value}"],
    "tmpfs": lambda self, value: [f"--tmpfs={one}" for one in value],
    "environment": lambda self, value: [f"--env={name}={text}" for name, text in value.items()],
    "volumes": Containers._volumes,
    "secrets": Containers._secrets,
    # A free port of the loopback instead of the file's.
    "ports": lambda self, value: [f"--publish=127.0.0.1::{one.split(':')[-1]}" for one in value],
}


def container_program() -> str:
    """Return TENKEN_TEST_CONTAINERS, or whichever of docker and podman answers; "" for neither."""
    for name in (os.environ.get("TENKEN_TEST_CONTAINERS", ""), "docker", "podman"):
        if name and shutil.which(name):
            done = subprocess.run([name, "info"], capture_output=True, timeout=60, check=False)
            if done.returncode == 0:
                return name
    return ""
