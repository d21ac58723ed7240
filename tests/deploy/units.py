"""A strict reading of systemd units and crontabs: what is not known is wrong."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SPAN = r"\d+(s|min|h|d)?"


def _is(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


def _codes(value: str) -> bool:
    return all(one.isdigit() and 0 <= int(one) <= 255 for one in value.split())


_BOOL = _is("yes|no")
_TEXT = _is(r".+")
_PATH = _is(r"-?/[\w./%-]+")
_NAME = _is(r"[\w.@%-]+")
_NAMES = _is(r"[\w.@% -]+")

UNIT = {
    "Description": _TEXT,
    "Wants": _NAMES,
    "After": _NAMES,
    "OnFailure": _NAMES,
    "StartLimitIntervalSec": _is(_SPAN),
    "StartLimitBurst": _is(r"[1-9]\d*"),
}
SERVICE = {
    "Type": _is("oneshot|exec|simple"),
    "User": _NAME,
    "ExecStart": _is(r"/\S+( .*)?"),
    "EnvironmentFile": _PATH,
    "Environment": _is(r"([A-Z_]+=\S+ ?)+"),
    "WorkingDirectory": _PATH,
    "StateDirectory": _NAME,
    "CacheDirectory": _NAME,
    "SuccessExitStatus": _codes,
    "RestartPreventExitStatus": _codes,
    "Restart": _is("no|on-failure|on-abnormal"),
    "RestartSec": _is(_SPAN),
    "TimeoutStartSec": _is(_SPAN),
    "TimeoutStopSec": _is(_SPAN),
    "KillSignal": _is("SIG(TERM|INT)"),
    "KillMode": _is("mixed|control-group"),
    "MemoryMax": _is(r"\d+[%KMGT]"),
    "TasksMax": _is(r"\d+"),
    "Nice": _is(r"-?\d+"),
    "UMask": _is(r"0[0-7]{3}"),
    "CapabilityBoundingSet": _is(""),
    "AmbientCapabilities": _is(""),
    "ProtectSystem": _is("strict"),
    "ProtectProc": _is("invisible"),
    "RestrictAddressFamilies": _is("(AF_(INET6?|UNIX) ?)+"),
    "SystemCallArchitectures": _is("native"),
    "SystemCallFilter": _is("@system-service"),
    "SystemCallErrorNumber": _is("EPERM"),
    **dict.fromkeys(
        [
            *("NoNewPrivileges", "ProtectHome", "ProtectClock", "ProtectHostname"),
            *("ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules"),
            *("ProtectKernelTunables", "PrivateDevices", "PrivateTmp", "PrivateUsers"),
            *("RemoveIPC", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
            "LockPersonality",
        ],
        _BOOL,
    ),
}
TIMER = {
    "OnCalendar": _is(r"\*-\*-\* ([01]\d|2[0-3]):[0-5]\d:[0-5]\d UTC"),
    "RandomizedDelaySec": _is(_SPAN),
    "AccuracySec": _is(_SPAN),
    "Persistent": _BOOL,
}
SECTIONS = {
    "Unit": UNIT,
    "Service": SERVICE,
    "Timer": TIMER,
    "Install": {"WantedBy": _is("timers.target|multi-user.target")},
}


def read_unit(text: str) -> dict[str, dict[str, str]]:
    """Sections, their keys and values; `ValueError` names the line that is wrong."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith(("#", ";")):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            if section not in SECTIONS or section in found:
                raise ValueError(f"line {number}: section {section}")
            found[section] = {}
            continue
        key, equals, value = line.partition("=")
        if not equals or not section or key in found[section] or key not in SECTIONS[section]:
            raise ValueError(f"line {number}: key {key!r} of {section}")
        if not SECTIONS[section][key](value):
            raise ValueError(f"line {number}: {key}={value}")
        found[section][key] = value
    return found


_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@dataclass(frozen=True)
class Line:
    """A line of a user's crontab."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    command: str


def read_crontab(path: Path) -> tuple[dict[str, str], list[Line]]:
    """Variables and lines; `ValueError` names what is wrong."""
    variables: dict[str, str] = {}
    lines = []
    text = path.read_text()
    if not text.endswith("\n"):
        raise ValueError("cron passes over a last line that does not end")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if assigned := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            variables[assigned[1]] = assigned[2]
            continue
        parts = line.split(maxsplit=5)
        if len(parts) < 6:
            raise ValueError(f"{line!r} has too few fields")
        if re.search(r"(?<!\\)%", parts[5]):
            raise ValueError("cron makes a line break of %")
        times = [_times(part, *limits) for part, limits in zip(parts, _FIELDS)]
        lines.append(Line(*times, parts[5]))
    return variables, lines


def _times(text: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\*|(\d+)(-(\d+))?)(/(\d+))?", part)
        if match is None:
            raise ValueError(f"field {text!r}")
        first = least if match[1] == "*" else int(match[2])
        last = most if match[1] == "*" else int(match[4] or match[2])
        if not least <= first <= last <= most or match[6] == "0":
            raise ValueError(f"field {text!r} is not within {least} to {most}")
        found.update(range(first, last + 1, int(match[6] or 1)))
    return frozenset(found)
