"""A Kubernetes API server as far as DaskJobs go, over TLS, with faults on demand."""

import datetime
import email.utils
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from tests.deploy.certificates import Certificates

NAMESPACE, TOKEN = "dkmeans-test", "a-token-of-the-cluster"
_PLACE = f"/apis/kubernetes.dask.org/v1/namespaces/{NAMESPACE}/daskjobs"


@dataclass
class Cluster:
    """What is there, and what goes wrong."""

    folder: Path
    """Credentials as pods have them: token, namespace, ca.crt."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of those that were answered, or done without an answer."""

    away: bool = False
    """Answer 503."""

    refuses: int = 0
    """Answer this status to every request, if it is not 0."""

    refuses_lists: bool = False
    """Answer 403 to those who ask for all jobs."""

    loses_replies: int = 0
    """Do what so many next POSTs ask, and hang up."""

    lacks_operator: bool = False
    """There is no such kind."""

    answered_away: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    url: str = ""
    ahead_seconds: float = 0
    """By how much the server's clock is ahead of that of this machine."""

    def now(self) -> float:
        return datetime.datetime.now(datetime.UTC).timestamp() + self.ahead_seconds

    def say(self, name: str, status: str) -> None:
        """Have the operator set the status of a job."""
        with self.lock:
            self.jobs[name].setdefault("status", {})["jobStatus"] = status

    def add(self, name: str, *, status: str, cronjob: str | None, age_seconds: float = 0) -> None:
        labels = {} if cronjob is None else {"dkmeans/cronjob": cronjob}
        metadata = {"name": name, "labels": labels, "creationTimestamp": self._stamp(age_seconds)}
        self.jobs[name] = {"metadata": metadata, "status": {"jobStatus": status}}

    def count(self, method: str) -> int:
        return sum(one == method for one, _ in self.requests)

    def answer(self, method: str, url: str, body: Any, token: str | None) -> tuple[int, Any]:
        """Return status and body."""
        parsed = urlparse(url)
        place, _, name = parsed.path.removeprefix(_PLACE).rpartition("/")
        if token != f"Bearer {TOKEN}":
            return 401, {"kind": "Status", "message": "Unauthorized"}
        if self.refuses:
            return self.refuses, {"kind": "Status", "message": "no rights for daskjobs"}
        if not parsed.path.startswith(_PLACE) or place or self.lacks_operator:
            return 404, {"kind": "Status", "message": "the server could not find the resource"}
        if method == "POST":
            name = body["metadata"]["name"]
            if name in self.jobs:
                return 409, {"kind": "Status", "reason": "AlreadyExists"}
            body["metadata"]["creationTimestamp"] = self._stamp(0)
            self.jobs[name] = body
            return 201, body
        if not name and self.refuses_lists:
            return 403, {"kind": "Status", "message": "no rights to list daskjobs"}
        if not name:
            selector = parse_qs(parsed.query).get("labelSelector", [""])[0].partition("=")
            labels = ((one, one["metadata"].get("labels", {})) for one in self.jobs.values())
            return 200, {"items": [one for one, of in labels if of.get(selector[0]) == selector[2]]}
        if name not in self.jobs:
            return 404, {"kind": "Status", "reason": "NotFound"}
        return 200, self.jobs.pop(name) if method == "DELETE" else self.jobs[name]

    def _stamp(self, age_seconds: float) -> str:
        moment = datetime.datetime.fromtimestamp(self.now() - age_seconds, datetime.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def api_server(folder: Path, certificates: Certificates) -> Iterator[Cluster]:
    """Run an API server until the context ends."""
    cluster = Cluster(folder / "credentials")
    cluster.folder.mkdir()
    (cluster.folder / "token").write_text(f"{TOKEN}\n")
    (cluster.folder / "namespace").write_text(NAMESPACE)
    (cluster.folder / "ca.crt").write_bytes(certificates.ca.read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            n_bytes = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(n_bytes)) if n_bytes else None
            with cluster.lock:
                if cluster.away:
                    cluster.answered_away += 1
                    self._send(503, {"kind": "Status", "message": "restarting"})
                    return
                cluster.requests.append((self.command, self.path))
                token = self.headers.get("Authorization")
                status, said = cluster.answer(self.command, self.path, body, token)
                if self.command == "POST" and cluster.loses_replies:
                    cluster.loses_replies -= 1
                    self.close_connection = True
                    return
                self._send(status, said)

        do_GET = do_POST = do_DELETE = _respond

        def _send(self, status: int, said: Any) -> None:
            data = json.dumps(said).encode()
            self.send_response_only(status)
            self.send_header("Date", email.utils.formatdate(cluster.now(), usegmt=True))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    cluster.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
