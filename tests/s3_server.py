"""moto's S3 server, with conditional writes that keep writers apart, as those of S3 do.

moto looks for the object and then writes it, and nothing keeps two requests from doing so at the
same time: on a busy machine about one race of eight writers in hundreds has two winners.
"""

import sys
import threading
from typing import Any

from moto.s3.responses import S3Response
from moto.server import main

_one_at_a_time = threading.Lock()
_put_object = S3Response.put_object


def put_object(response: S3Response) -> Any:
    """Put an object; one at a time if it is put on a condition."""
    # they are no mapping: what they iterate over are pairs
    if not any(name in response.headers for name in ("If-None-Match", "If-Match")):
        return _put_object(response)
    with _one_at_a_time:
        return _put_object(response)


if __name__ == "__main__":
    S3Response.put_object = put_object
    main(sys.argv[1:])
