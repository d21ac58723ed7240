"""OpenStack Swift behind its S3 interface: an object store that is no emulator, on local disk."""

import contextlib
import http.client
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import free_port

SERVERS = {
    "account": "swift.account.server",
    "container": "swift.container.server",
    "object": "swift.obj.server",
    "proxy": "swift.proxy.server",
}

SWIFT_CONF = """
[swift-hash]
swift_hash_path_suffix = dkmeans
"""

BACKEND_CONF = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
log_level = WARNING

[pipeline:main]
pipeline = healthcheck {name}-server

[app:{name}-server]
use = egg:swift#{name}

[filter:healthcheck]
use = egg:swift#healthcheck
"""

# no cache: a memcached that happens to run here must not be told of this store. Nodes are never
# shunned, so that the store is well as soon as a stopped server is back.
PROXY_CONF = """
[DEFAULT]
swift_dir = {folder}
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
log_level = WARNING

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck s3api tempauth bulk slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:healthcheck]
use = egg:swift#healthcheck

[filter:s3api]
use = egg:swift#s3api
location = {region}

[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret} .admin

[filter:bulk]
use = egg:swift#bulk

[filter:slo]
use = egg:swift#slo
"""

RINGS = """
import sys
from swift.common.ring import RingBuilder

folder, *servers = sys.argv[1:]
for name, port in zip(servers[::2], servers[1::2]):
    ring = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    ring.add_dev(
        dict(region=1, zone=1, ip="127.0.0.1", port=int(port), device="disk", weight=1, id=0)
    )
    ring.rebalance(seed=0)
    ring.get_ring().save(f"{folder}/{name}.ring.gz")
"""


class SwiftServer:
    """One store of four processes, in a folder that goes with it. A context manager.

    It needs no root and nothing outside its folder. Tests are skipped where Swift is not installed
    or no file system at hand has extended attributes, which it keeps metadata in.

    Attributes
    ----------
    endpoint_url, key, secret, region
        What clients of S3 are to be given.
    processes
        The processes by name: "account", "container", "object" and "proxy".
    """

    def __init__(self, seconds: float = 60):
        self._seconds = seconds
        self.key = "test:tester"
        self.secret = "swift-secret-canary"
        self.region = "us-east-1"
        self.processes: dict[str, subprocess.Popen] = {}

    @property
    def storage_options(self) -> dict:
        """What s3fs is to be given."""
        return {
            "key": self.key,
            "secret": self.secret,
            "endpoint_url": self.endpoint_url,
            "client_kwargs": {"region_name": self.region},
        }

    def create_bucket(self, name: str | None = None) -> str:
        """Create a bucket, and give its URL. Names have three letters or more."""
        import s3fs

        name = f"bucket-{os.urandom(6).hex()}" if name is None else name
        s3fs.S3FileSystem(**self.storage_options).call_s3("create_bucket", Bucket=name)
        return f"s3://{name}"

    def start(self, *names: str) -> None:
        """Start servers that do not run, and wait until they are well."""
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            command = [sys.executable, "-W", "ignore", "-m", SERVERS[name]]
            with log:
                self.processes[name] = subprocess.Popen(
                    [*command, str(self.folder / f"{name}.conf"), "--verbose"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        end = time.monotonic() + self._seconds
        for name in names:
            while not self._is_well(name):
                if self.processes[name].poll() is not None:
                    raise RuntimeError(f"Swift's {name} server ended: {self._log(name)}")
                if time.monotonic() > end:
                    raise TimeoutError(
                        f"Swift's {name} server is not well after {self._seconds} s: "
                        f"{self._log(name)}"
                    )
                time.sleep(0.05)

    def stop(self, *names: str) -> None:
        """End servers, also those that are suspended."""
        for name in names:
            self.processes[name].terminate()
        for name in names:
            try:
                self.processes[name].wait(5)
            except subprocess.TimeoutExpired:
                self.processes[name].kill()
                self.processes[name].wait()

    def __enter__(self) -> Self:
        if importlib.util.find_spec("swift") is None:
            pytest.skip("OpenStack Swift is not installed")
        place = next(filter(keeps_attributes, (Path(tempfile.gettempdir()), Path.cwd())), None)
        if place is None:
            pytest.skip("Swift needs a file system with extended attributes for temporary files")
        self._temporary = tempfile.TemporaryDirectory(prefix="swift-", dir=place)
        self.folder = Path(self._temporary.name)
        try:
            self._configure()
            self.start(*SERVERS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*self.processes)
        self._temporary.cleanup()

    def _configure(self) -> None:
        (self.folder / "devices" / "disk").mkdir(parents=True)
        self._ports = {name: free_port() for name in SERVERS}
        self.endpoint_url = f"http://127.0.0.1:{self._ports['proxy']}"
        (self.folder / "swift.conf").write_text(SWIFT_CONF)
        for name, port in self._ports.items():
            conf = (PROXY_CONF if name == "proxy" else BACKEND_CONF).format(
                name=name,
                port=port,
                folder=self.folder,
                region=self.region,
                user=self.key.replace(":", "_"),
                secret=self.secret,
            )
            (self.folder / f"{name}.conf").write_text(conf)
        backends = [word for n, p in self._ports.items() if n != "proxy" for word in (n, str(p))]
        built = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", RINGS, str(self.folder), *backends],
            capture_output=True,
            text=True,
        )
        if built.returncode != 0:
            raise RuntimeError(f"Swift's rings cannot be built: {built.stderr}")

    def _is_well(self, name: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[name], timeout=5)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/healthcheck")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def _log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-2000:]


def keeps_attributes(folder: Path) -> bool:
    """Whether files of a folder can have extended attributes."""
    if not hasattr(os, "setxattr"):
        return False
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        try:
            os.setxattr(probe.name, "user.swift.metadata", bytes(1000))
        except OSError:
            return False
    return True
