"""The JSON Schema of job files, for editors: made from the definition, stored beside it.

It says what each key may be. What keys cannot be together, only `dkmeans run --dry-run` tells.
Write it anew with `python -m dkmeans.jobs.schema`.
"""

import json
from pathlib import Path
from typing import Any

from dkmeans.jobs.definition import Job
from dkmeans.jobs.record_kind import Record

PATH = Path(__file__).with_name("job.schema.json")
"""Where it is stored."""


def job_schema() -> dict[str, Any]:
    """Return the schema, of draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job of dkmeans",
        **Record(Job).schema(),
    }


def text() -> str:
    """Return the schema as it is stored."""
    return json.dumps(job_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
