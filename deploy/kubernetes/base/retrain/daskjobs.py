"""DaskJobs of a namespace, on an API server that may be away for a while."""

import email.utils
import http.client
import json
import logging
import random
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REFUSED, AWAY = 2, 75

_GROUP = "kubernetes.dask.org/v1"
CRONJOB = "dkmeans/cronjob"
"""The label that tells of which CronJob a DaskJob is."""

_REQUEST_SECONDS = 30

log = logging.getLogger("launch")


class Problem(Exception):
    """Why the launcher ends, and with which exit code."""

    def __init__(self, exit_code: int, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Api:
    """Asks the API server, again and again if need be."""

    def __init__(self, url: str, credentials: Path, away_seconds: float) -> None:
        self.namespace = (credentials / "namespace").read_text().strip()
        self._jobs = f"{url}/apis/{_GROUP}/namespaces/{self.namespace}/daskjobs"
        self._token = credentials / "token"
        context = None
        if url.startswith("https:"):
            context = ssl.create_default_context(cafile=str(credentials / "ca.crt"))
        # the API server is never behind a proxy
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        self._away_seconds = away_seconds
        self.now = time.time()
        """The server's clock at its last answer, in seconds since the epoch."""

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a DaskJob; None if there is none."""
        status, found = self._call("GET", f"/{name}")
        return None if status == 404 else found

    def create(self, body: Mapping[str, Any]) -> bool:
        """Create a DaskJob; False if there is one of its name."""
        status, _ = self._call("POST", "", body)
        if status == 404:
            raise Problem(REFUSED, "the cluster knows no DaskJob: install the Dask operator.")
        return status != 409

    def delete(self, name: str) -> None:
        """Delete a DaskJob, and by it its pods."""
        self._call("DELETE", f"/{name}?propagationPolicy=Background")

    def of(self, cronjob: str) -> list[dict[str, Any]]:
        """Return all DaskJobs that were launched for a CronJob."""
        selector = urllib.parse.quote(f"{CRONJOB}={cronjob}")
        found: list[dict[str, Any]] = self._call("GET", f"?labelSelector={selector}")[1]["items"]
        return found

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Ask until there is an answer: that a thing is not there, or is there already, is one."""
        began, delay = time.monotonic(), 0.5
        while True:
            try:
                return self._ask(method, path, body)
            except urllib.error.HTTPError as error:
                said = _message(error)
                if error.code not in (408, 429) and error.code < 500:
                    raise Problem(
                        REFUSED, f"{method} daskjobs{path}: {error.code} {said}"
                    ) from None
                why = f"{error.code} {said}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = f"{type(error).__name__}: {error}"
            if time.monotonic() - began + delay > self._away_seconds:
                raise Problem(AWAY, f"no answer for {self._away_seconds:g} s: {why}")
            log.info("the API server does not answer (%s), trying again", why)
            time.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, 15)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            self._jobs + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                # read anew: it changes every hour
                "Authorization": f"Bearer {self._token.read_text().strip()}",
                "Accept": "application/json",
                "Content-Type": "application/json",
            },
        )
        try:
            with self._opener.open(request, timeout=_REQUEST_SECONDS) as answer:
                self._note_time(answer.headers)
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (404, 409):
                raise
            self._note_time(error.headers)
            error.close()
            return error.code, {}

    def _note_time(self, headers: Mapping[str, str]) -> None:
        date = headers.get("Date")
        self.now = email.utils.parsedate_to_datetime(date).timestamp() if date else time.time()


def _message(error: urllib.error.HTTPError) -> str:
    """Return what the API server says of a refusal."""
    try:
        return str(json.load(error)["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)
