"""What IAM policies permit, and an S3 server that asks them.

A strict reading of the part of the language that policies of ours use: what is not known is an
error, and a request that is not known is refused. As S3, it answers 403 and not 404 to who may not
list a bucket.
"""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

ROOT = "root"
"""The access key that may do everything."""

_ACTIONS = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"}
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass(frozen=True)
class Asked:
    """What a request needs to be permitted."""

    action: str
    resource: str
    keys: Mapping[str, str]
    """Condition keys of the request."""


def check_policy(policy: Mapping[str, Any]) -> None:
    """Raise `ValueError` if a policy says what is not understood here."""
    if set(policy) != {"Version", "Statement"} or policy["Version"] != "2012-10-17":
        raise ValueError("Version")
    sids = [one["Sid"] for one in policy["Statement"]]
    if len(set(sids)) < len(sids):
        raise ValueError("two statements have one Sid")
    for one in policy["Statement"]:
        if not {"Sid", "Effect", "Action", "Resource"} <= set(one) <= {
            "Sid", "Effect", "Action", "Resource", "Condition"
        }:  # fmt: skip
            raise ValueError(f"{one['Sid']}: elements")
        if not re.fullmatch("[A-Za-z0-9]+", one["Sid"]) or one["Effect"] not in ("Allow", "Deny"):
            raise ValueError(f"{one['Sid']}: Sid or Effect")
        if not set(listed(one["Action"])) <= _ACTIONS:
            raise ValueError(f"{one['Sid']}: Action")
        for resource in listed(one["Resource"]):
            is_bucket = "s3:ListBucket" in listed(one["Action"])
            pattern = r"[a-z0-9.-]{3,63}" if is_bucket else r"[a-z0-9.-]{3,63}/[\w/.*-]+"
            if not re.fullmatch(rf"arn:aws:s3:::{pattern}", resource):
                raise ValueError(f"{one['Sid']}: Resource {resource}")
        for operator, conditions in one.get("Condition", {}).items():
            known = operator == "Null" and set(conditions) == {"s3:if-none-match"}
            if not known or set(conditions.values()) - {"true", "false"}:
                raise ValueError(f"{one['Sid']}: Condition")


def listed(value: str | list[str]) -> list[str]:
    """One or several, as a list."""
    return [value] if isinstance(value, str) else value


def matches(statement: Mapping[str, Any], asked: Asked) -> bool:
    """Whether a statement is about a request."""
    patterns = (
        "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", resource))
        for resource in listed(statement["Resource"])
    )
    return (
        asked.action in listed(statement["Action"])
        and any(re.fullmatch(one, asked.resource, re.DOTALL) for one in patterns)
        and all(
            (key not in asked.keys) == (value == "true")
            for conditions in statement.get("Condition", {}).values()
            for key, value in conditions.items()
        )
    )


def allowing(policy: Mapping[str, Any], asked: Asked) -> list[str]:
    """The statements that permit a request; none if one denies it."""
    found = [one for one in policy["Statement"] if matches(one, asked)]
    if any(one["Effect"] == "Deny" for one in found):
        return []
    return [one["Sid"] for one in found]


def asked_by(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> list[Asked]:
    """What a request to S3 needs; nothing if it is of a kind that is not known."""
    bucket, _, key = path.lstrip("/").partition("/")
    arn = "arn:aws:s3:::"
    asked = set(parse_qs(query, keep_blank_values=True)) - {"x-id"}
    if not bucket or "x-amz-copy-source" in headers:
        return []
    if not key:
        if method == "POST" and asked == {"delete"}:
            keys = [one.text or "" for one in ElementTree.fromstring(body).iter() if _is_key(one)]
            return [Asked("s3:DeleteObject", f"{arn}{bucket}/{one}", {}) for one in keys]
        listing = {"list-type", "prefix", "delimiter", "max-keys", "encoding-type"}
        listing |= {"continuation-token", "start-after", "fetch-owner"}
        if method == "GET" and "list-type" in asked and asked <= listing:
            return [Asked("s3:ListBucket", arn + bucket, {})]
        return [Asked("s3:ListBucket", arn + bucket, {})] if method == "HEAD" else []
    resource = f"{arn}{bucket}/{key}"
    if method in ("GET", "HEAD") and not asked:
        return [Asked("s3:GetObject", resource, {})]
    if method == "DELETE" and not asked:
        return [Asked("s3:DeleteObject", resource, {})]
    of_parts = method == "POST" and asked in ({"uploads"}, {"uploadId"})
    if of_parts or (method == "PUT" and asked in (set(), {"partNumber", "uploadId"})):
        known = {"s3:if-none-match": headers["if-none-match"]} if "if-none-match" in headers else {}
        return [Asked("s3:PutObject", resource, known)]
    return []


def _is_key(element: ElementTree.Element) -> bool:
    return element.tag.rpartition("}")[2] == "Key"


class PolicedServer:
    """In front of a WSGI application that is S3: asks the policy of the access key, and notes.

    `<folder>/<access key>.json` is its policy; `<folder>/asked.jsonl` what was asked.
    """

    def __init__(self, application: Callable[..., Any], folder: Path) -> None:
        self._application, self._folder = application, folder
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        found = re.search("Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        access_key = found[1] if found else ""
        if access_key == ROOT:
            return self._application(environ, start)
        place = self._folder / f"{access_key}.json"
        policy = json.loads(place.read_text()) if place.exists() else {"Statement": []}
        method, body = environ["REQUEST_METHOD"], b""
        if method == "POST":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
        headers = {
            name[5:].lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        asked = asked_by(method, path.encode("latin-1").decode(), query, headers, body)
        is_permitted = bool(asked) and all(allowing(policy, one) for one in asked)
        self._note(access_key, f"{method} {path}?{query}", asked, is_permitted)
        if not is_permitted:
            return _refuse(start, method)
        bucket = path.lstrip("/").partition("/")[0]
        may_list = bool(allowing(policy, Asked("s3:ListBucket", f"arn:aws:s3:::{bucket}", {})))
        if may_list or asked[0].action != "s3:GetObject":
            return self._application(environ, start)
        answered: list[Any] = []
        answer = list(self._application(environ, lambda *given: answered.append(given)))
        if str(answered[0][0]).startswith("404"):
            return _refuse(start, method)
        start(*answered[0])
        return answer

    def _note(self, access_key: str, line: str, asked: list[Asked], is_permitted: bool) -> None:
        told = [asdict(one) for one in asked]
        note = {"key": access_key, "line": line, "asked": told, "permitted": is_permitted}
        with self._lock, (self._folder / "asked.jsonl").open("a") as file:
            file.write(json.dumps(note) + "\n")


def _refuse(start: Callable[..., Any], method: str) -> list[bytes]:
    # the answer to HEAD has no body
    body = b"" if method == "HEAD" else _DENIED
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start("403 Forbidden", headers)
    return [body]


def main() -> None:
    """Serve: the folder of policies, then the arguments of moto's server."""
    from moto import server as moto_server

    from tests import s3_server

    folder = Path(sys.argv.pop(1))
    dispatcher = moto_server.DomainDispatcherApplication

    def policed(*given: Any) -> PolicedServer:
        return PolicedServer(dispatcher(*given), folder)

    moto_server.DomainDispatcherApplication = policed
    s3_server.S3Response.put_object = s3_server.put_object
    moto_server.main(sys.argv[1:])


if __name__ == "__main__":
    main()
