"""The socket of a service, and TLS on it."""

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from dkmeans.errors import ArgumentError
from dkmeans.service.settings import Settings


def is_own(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what HTTPS is spoken with; None if the settings name no certificate.

    Raises
    ------
    ArgumentError
        If the certificate or the key cannot be read, or do not belong together.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    for name, path in (("certificate", settings.tls_cert), ("key", settings.tls_key)):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise ArgumentError(f"the {name} {path} cannot be read ({error.strerror}).") from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def refuse() -> str:
        # or OpenSSL would ask the terminal
        raise ArgumentError(f"the key {settings.tls_key} has a password; store it without one.")

    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, refuse)
    except ssl.SSLError as error:
        raise ArgumentError(
            f"the certificate {settings.tls_cert} and the key {settings.tls_key} cannot be used "
            f"({error.reason or 'no PEM'}); both should be PEM, and belong together."
        ) from None
    return context


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind a socket, so that an address that is taken is told of before anything else.

    Raises
    ------
    ArgumentError
        If the host is unknown, or the address cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, number, _, address = found[0]
        sock = socket.socket(family, kind, number)
    except OSError as error:
        raise ArgumentError(
            f"the host {settings.host} is unknown ({error.strerror}); check --host."
        ) from None
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            raise ArgumentError(
                f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}); "
                "check --host and --port."
            ) from None
        yield sock
