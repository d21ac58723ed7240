"""Run the command line: in this process, which is quick, or in one of its own, as users do."""

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.cli.main import main

PROGRAM = [sys.executable, "-m", "dkmeans.cli.main"]


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that is all of standard output."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error(self) -> str:
        """The one line that says what is wrong, the last one; standard output is empty."""
        lines = self.err.strip().splitlines()
        assert [line for line in lines if line.startswith("dkmeans: error: ")] == lines[-1:], (
            self.err
        )
        assert "Traceback" not in self.err, self.err
        assert self.out == ""
        return lines[-1].removeprefix("dkmeans: error: ")


def run(*arguments: object) -> Ran:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    handler, log = signal.getsignal(signal.SIGTERM), logging.getLogger("distributed")
    level = log.level
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main([str(one) for one in arguments])
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.signal(signal.SIGTERM, handler)
        log.setLevel(level)
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


def run_apart(*arguments: object, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command in a process of its own."""
    found = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return Ran(found.returncode, found.stdout, found.stderr)
