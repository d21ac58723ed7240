"""How a service runs: where it listens, who may ask, what requests may cost, how it ends."""

from dataclasses import dataclass, field

from dkmeans.errors import ArgumentError
from dkmeans.service.limits import Limits
from dkmeans.service.request_log import Level


@dataclass(frozen=True)
class Settings:
    """How a service runs."""

    host: str = "127.0.0.1"
    """The address that it listens on."""

    port: int = 8000
    """0 for any that is free."""

    token_file: str | None = None
    """See `tokens`. None for the variable of the environment, if there is one."""

    no_token: bool = False
    """Whether everybody may ask, on other addresses than this machine's own, too."""

    tls_cert: str | None = None
    """A file with the certificate, and those that it was signed by."""

    tls_key: str | None = None
    """A file with its key."""

    limits: Limits = field(default_factory=Limits)
    """What requests may cost."""

    grace_seconds: float = 20.0
    """How long requests that are in work may take once the service is told to stop."""

    drain_seconds: float = 1.0
    """How long requests are still taken once SIGTERM has come, and /readyz says so."""

    log: Level = "requests"
    """Which requests are logged."""

    def __post_init__(self) -> None:
        if not self.host:
            raise ArgumentError("the host is empty; name one, as 127.0.0.1, or 0.0.0.0 for all.")
        if not 0 <= self.port <= 65535:
            raise ArgumentError(f"port={self.port} should be from 0 to 65535.")
        for name in ("grace_seconds", "drain_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ArgumentError(f"{name}={getattr(self, name)} should be 0 or more.")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ArgumentError("a certificate and its key go together; give both, or none.")
        if self.no_token and self.token_file is not None:
            raise ArgumentError("a token file and no token contradict each other; give one.")
