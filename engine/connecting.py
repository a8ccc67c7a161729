"""Connections to an engine: its address, certificates, and the proxy on the way."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from engine.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine is."""

    scheme: str
    host: str
    port: int
    path: str  # before that of the API, for an engine behind a gateway

    @staticmethod
    def parse(url: str) -> Address:
        """Return the parts of `url`; raises ConfigError for what is no address of an engine."""
        parts = _split(url)
        if parts.username or parts.query or parts.fragment:
            raise ConfigError(f"{parts.scheme}://{parts.hostname}: only host, port and path may be given")
        port = parts.port or _PORTS[parts.scheme]
        return Address(parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self._netloc}{self.path}"

    @property
    def _netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self._netloc}"


class Connect:
    """Opens connections to one engine."""

    def __init__(
        self,
        address: Address,
        ca_file: Path | None = None,
        proxy: str | None = None,
        connect_seconds: float = 10,
        silence_seconds: float = 60,
    ) -> None:
        self.address = address
        self._proxy = _split(proxy) if proxy else None
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._tls = _tls(ca_file) if address.scheme == "https" else None

    @property
    def headers(self) -> dict[str, str]:
        """Headers that each request needs on its way."""
        return _authorization(self._proxy) if self._proxy and not self._tls else {}

    def target(self, path: str) -> str:
        """Return what a request's first line says for `path`."""
        whole = f"{self.address.path}{path}"
        return f"{self.address.origin}{whole}" if self._proxy and not self._tls else whole

    def __call__(self) -> http.client.HTTPConnection:
        """Return a connection that is made; raises OSError."""
        connection = self._connection()
        try:
            connection.connect()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        assert isinstance(connection.sock, socket.socket)
        connection.sock.settimeout(self._silence_seconds)
        return connection

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        if self._proxy:
            host, port = self._proxy.hostname or "", self._proxy.port or _PORTS[self._proxy.scheme]
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=self._connect_seconds)
        connection = http.client.HTTPSConnection(host, port, timeout=self._connect_seconds, context=self._tls)
        if self._proxy:
            connection.set_tunnel(self.address.host, self.address.port, _authorization(self._proxy))
        return connection


def proxy_for(url: str) -> str | None:
    """Return the proxy that the usual variables (https_proxy, no_proxy, ...) name for `url`."""
    address = Address.parse(url)
    if address.host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(address.host):
        return None
    return getproxies().get(address.scheme)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("an address has to look like https://host:port")
    return parts


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ConfigError(f"{ca_file}: no certificates can be read: {error.strerror or error}") from error


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
