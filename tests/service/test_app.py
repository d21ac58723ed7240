"""What a service answers, in this process: rows, policies for missing values, and refusals."""

import asyncio
import json
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from dkmeans.models.columns import FeatureColumn
from dkmeans.service.arrow_rows import STREAM
from dkmeans.service.limits import Limits
from dkmeans.service.tokens import Tokens
from dkmeans.service.trial import warm
from tests.service.stands import Counted, OneServed, a_model, a_service, ask, asked
from tests.service.test_arrow_rows import stream

TOKEN = "0123456789abcdef0123"
ARROW = {"kind": STREAM}


def table_of(X):
    return pa.table({f"f{j}": X[:, j] for j in range(X.shape[1])})


def read_table(answer):
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == STREAM
    table = pa.ipc.open_stream(answer.body).read_all()
    table.validate(full=True)
    return table


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 700, 5000])
def test_answers_are_those_of_the_model_bit_for_bit(dtype, n_rows):
    model = a_model(11, 7, dtype=dtype)
    service = a_service(model)
    X = (np.random.default_rng(1).normal(size=(n_rows, 7)) * 20).astype(dtype)
    expected = model.assign(X, by_row=True)
    found = ask(service, "/predict", {"rows": X.tolist()}).json
    assert found["cluster_ids"] == expected.cluster_ids.tolist()
    assert np.array(found["distances"], dtype).tobytes() == expected.distances.tobytes()
    assert (found["model"], found["version"]) == ("models/customers@champion", 7)
    assert set(found) == {"cluster_ids", "distances", "model", "version"}
    table = read_table(ask(service, "/predict", stream(table_of(X)), **ARROW))
    # as `dkmeans predict` writes them
    assert table.schema.names == ["cluster_id", "distance", "second_distance"]
    assert table.schema.field("cluster_id").type == pa.int32()
    assert table["cluster_id"].to_numpy().tolist() == expected.cluster_ids.tolist()
    assert table["distance"].to_numpy().tobytes() == expected.distances.tobytes()
    assert table["second_distance"].to_numpy().tobytes() == (expected.second_distances.tobytes())
    assert table.schema.metadata == {
        b"dkmeans.model": b"models/customers@champion", b"dkmeans.version": b"7"
    }  # fmt: skip
    far = model.transform(X, by_row=True)
    found = ask(service, "/distances", {"rows": X.tolist()}).json
    assert found["cluster_ids"] == model.cluster_ids.tolist()
    assert np.array(found["distances"], dtype).tobytes() == far.tobytes()
    table = read_table(ask(service, "/distances", stream(table_of(X)), **ARROW))
    assert table.schema.names == [str(one) for one in model.cluster_ids]
    for j in range(11):
        assert table.column(j).to_numpy().tobytes() == far[:, j].tobytes()


def test_a_row_has_the_same_answer_alone_and_among_others():
    service = a_service(a_model(20, 9))
    rows = (np.random.default_rng(2).normal(size=(600, 9)) * 20).tolist()
    together = ask(service, "/predict", {"rows": rows}).json
    for i in range(0, 600, 37):
        alone = ask(service, "/predict", {"rows": [rows[i]]}).json
        assert alone["cluster_ids"] == together["cluster_ids"][i : i + 1]
        assert alone["distances"] == together["distances"][i : i + 1]


def test_accept_decides_the_way_out_and_the_body_where_it_says_nothing():
    service = a_service()
    X = np.array([[1.0, 2.0]], np.float32)
    bodies = {"application/json": json.dumps({"rows": X.tolist()}).encode(),
              STREAM: stream(table_of(X))}  # fmt: skip
    for kind, body in bodies.items():
        other = next(one for one in bodies if one != kind)
        for accept, expected in (
            (None, kind), ("*/*", kind), ("application/*", kind), (other, other),
            (f"text/html, {STREAM}; q=0.9", STREAM), ("application/json, */*;q=0.1",
            "application/json"),
        ):  # fmt: skip
            headers = {} if accept is None else {"Accept": accept}
            found = ask(service, "/predict", body, kind=kind, headers=headers)
            assert (found.status, found.headers["content-type"]) == (200, expected)
        error = ask(service, "/predict", body, kind=kind, headers={"Accept": "text/csv"}).error
        assert error["type"] == "not_acceptable"


def test_rows_that_lack_values_get_what_the_fit_did():
    rows = [[1.0, 2.0], [None, 2.0], [3.0, None]]
    table = pa.table({"f0": [1.0, None, 3.0], "f1": [2.0, 2.0, float("nan")]})
    refusing = a_service(a_model(missing="raise"))
    for body, more in (({"rows": rows}, {}), (stream(table), ARROW)):
        found = ask(refusing, "/predict", body, **more)
        assert found.status == 422
        assert found.error["type"] == "missing_value"
        assert (found.error["row"], found.error["column"]) == (1, "f0")
        assert "row 1 has no value for column 'f0'" in found.error["message"]
    model = a_model(missing="mean")
    filling = a_service(model)
    filled = [[model.filling.values[j] if one is None else one for j, one in enumerate(row)]
              for row in rows]  # fmt: skip
    expected = ask(filling, "/predict", {"rows": filled}).json
    assert ask(filling, "/predict", {"rows": rows}).json == expected
    found = read_table(ask(filling, "/predict", stream(table), **ARROW))
    assert found["cluster_id"].to_pylist() == expected["cluster_ids"]
    # left out by the fit: no cluster, as in the output of `dkmeans predict`
    dropping = a_service(a_model(missing="drop"))
    found = ask(dropping, "/predict", {"rows": rows}).json
    alone = ask(dropping, "/predict", {"rows": rows[:1]}).json
    assert found["cluster_ids"] == [*alone["cluster_ids"], None, None]
    assert found["distances"] == [*alone["distances"], None, None]
    found = read_table(ask(dropping, "/predict", stream(table), **ARROW))
    assert found["cluster_id"].to_pylist() == [*alone["cluster_ids"], None, None]
    found = ask(dropping, "/distances", {"rows": rows}).json
    assert found["distances"][1:] == [None, None]
    found = ask(dropping, "/predict", {"rows": rows[1:]}).json
    assert found["cluster_ids"] == [None, None]


def test_numbers_beyond_the_type_of_the_model_are_refused():
    service = a_service()
    for value in (3.5e38, -1e300, 10**60):
        error = ask(service, "/predict", {"rows": [[0, 0], [0, value]]}).error
        assert (error["type"], error["row"], error["column"]) == ("out_of_range", 1, "f1")
    table = pa.table({"f0": [float("inf")], "f1": [0.0]})
    error = ask(service, "/predict", stream(table), **ARROW).error
    assert "'f0': an infinite number is too large" in error["message"]
    # values that are held, but not their squares
    error = ask(service, "/predict", {"rows": [[0, 0], [3.3e38, -3.3e38]]}).error
    assert (error["type"], error["row"]) == ("out_of_range", 1)
    dropping = a_service(a_model(missing="drop"))
    error = ask(dropping, "/predict", {"rows": [[None, 0], [0, 0], [1e38, 0]]}).error
    assert error["row"] == 2
    wide = a_service(a_model(dtype="float64"))
    assert ask(wide, "/predict", {"rows": [[1e60, 0]]}).status == 200


def test_clusters_with_names_are_named():
    service = a_service(a_model(cluster_names={10: "night owls", 12: "early birds"}))
    centers = service.predictor().served.model.centers.tolist()
    found = ask(service, "/predict", {"rows": centers}).json
    assert found["cluster_ids"] == [10, 11, 12]
    assert found["cluster_names"] == ["night owls", None, "early birds"]
    body = json.dumps({"rows": centers}).encode()
    table = read_table(ask(service, "/predict", body, headers={"Accept": STREAM}))
    told = json.loads(table.schema.metadata[b"dkmeans.cluster_names"])
    assert told == {"10": "night owls", "12": "early birds"}


def test_a_single_cluster_and_vector_columns_are_served():
    columns = (FeatureColumn("v", 3), FeatureColumn("w"))
    service = a_service(a_model(1, 4, columns=columns))
    found = ask(service, "/predict", {"rows": [{"v": [1, 2, 3], "w": 4}, [1, 2, 3, 4]]}).json
    assert found["cluster_ids"] == [10, 10]
    assert found["distances"][0] == found["distances"][1]
    table = pa.table({"v": [[1.0, 2.0, 3.0]], "w": [4.0]})
    found = read_table(ask(service, "/predict", stream(table), **ARROW))
    assert found.schema.names == ["cluster_id", "distance"]


def test_requests_are_refused_in_one_shape():
    figures = Counted()
    service = a_service(limits=Limits(body_bytes=1000, json_bytes=500, rows=5, values=6),
                        figures=figures)  # fmt: skip
    rows = {"rows": [[1, 2]]}
    refusals = [
        (404, "not_found", ask(service, "/", rows)),
        (404, "not_found", ask(service, "/predict/", rows)),
        (405, "method_not_allowed", ask(service, "/predict", method="GET")),
        (405, "method_not_allowed", ask(service, "/healthz", rows)),
        (415, "unsupported_media_type", ask(service, "/predict", rows, kind=None)),
        (415, "unsupported_media_type", ask(service, "/predict", rows, kind="text/csv")),
        (415, "unsupported_encoding",
         ask(service, "/predict", rows, headers={"Content-Encoding": "gzip"})),
        (422, "unknown_parameter", ask(service, "/predict?extras=ignore", rows)),
        (422, "unknown_parameter", ask(service, "/predict?extra=yes", rows)),
        (413, "too_large", ask(service, "/predict", b" " * 501)),
        (413, "too_large", ask(service, "/predict", b" " * 1001, **ARROW)),
        (413, "too_large",
         ask(service, "/predict", headers={"Content-Length": "9" * 30}, **ARROW)),
        (413, "too_many_rows", ask(service, "/predict", {"rows": [[1, 2]] * 6})),
        (413, "too_many_values", ask(service, "/distances", {"rows": [[1, 2]] * 3})),
        (400, "invalid_json", ask(service, "/predict", b"{")),
        (400, "invalid_arrow", ask(service, "/predict", b"{", **ARROW)),
    ]  # fmt: skip
    for status, kind, found in refusals:
        assert (found.status, found.error["type"]) == (status, kind)
    # the remedy is another kind of body, where there is one
    large = [found.error["message"] for _, kind, found in refusals if kind == "too_large"]
    assert [STREAM in message for message in large] == [True, False, False]
    assert refusals[2][2].headers["allow"] == "POST"
    assert "at most 6 are sent at a time, of 2 rows" in refusals[13][2].error["message"]
    assert "did you mean 'extra'?" in refusals[7][2].error["message"]
    # each was counted, under a path of ours and a kind of ours
    assert [status for _, status in figures.answers] == [status for status, _, _ in refusals]
    assert {path for path, _ in figures.answers} == {"other", "/predict", "/healthz", "/distances"}
    assert figures.errors == [kind for _, kind, _ in refusals]
    assert figures.in_flight == 0
    assert ask(service, "/predict", rows).status == 200


def test_request_ids_are_the_clients_if_they_can_be():
    service = a_service()
    found = ask(service, "/predict", {"rows": []}, headers={"X-Request-Id": "my-id.1"})
    assert found.headers["x-request-id"] == "my-id.1"
    ids = set()
    for given in ("", "a b", "x" * 65, "\u00e9".encode().decode("latin-1"), 'a"b'):
        for path, method in (("/predict", "POST"), ("/healthz", "GET")):
            headers = {"X-Request-Id": given} if given.isascii() else {}
            ids.add(ask(service, path, {"rows": []}, method=method,
                        headers=headers).headers["x-request-id"])  # fmt: skip
    assert len(ids) == 10
    assert all(len(one) == 16 and one.isalnum() for one in ids)


def test_a_token_is_asked_for_everywhere_but_for_health():
    service = a_service(tokens=Tokens(token=TOKEN))
    paths = ["/predict", "/distances", "/model", "/metrics", "/openapi.json", "/nowhere"]
    for path in paths:
        for given in (None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", "Bearer"):
            for method in ("GET", "POST", "PUT"):
                headers = {} if given is None else {"Authorization": given}
                found = ask(service, path, {"rows": []}, method=method, headers=headers)
                assert found.status == 401
                assert found.headers["www-authenticate"].startswith("Bearer ")
                assert TOKEN not in found.body.decode()
    for path in ("/healthz", "/readyz"):
        assert ask(service, path, method="GET").status == 200
    for word in ("Bearer", "bearer"):
        headers = {"Authorization": f"{word} {TOKEN}"}
        assert ask(service, "/predict", {"rows": []}, headers=headers).status == 200
        assert ask(service, "/nowhere", headers=headers).status == 404


def test_pages_tell_of_the_model_and_of_the_figures():
    model = a_model(cluster_names={11: "owls"}, columns=(FeatureColumn("a"), FeatureColumn("b")))
    served = OneServed(model, registry="s3://user:secret@bucket/models")
    service = a_service(model)
    service._models.served = served
    service._models.problem = "s3://bucket/models?signature=abcdef: version 8 is damaged."
    found = ask(service, "/model", method="GET").json
    assert found["version"] == 7
    assert found["columns"] == [{"name": "a", "width": None}, {"name": "b", "width": None}]
    assert found["registry"] == "s3://bucket/models"
    assert "damaged" in found["problem"]
    assert "abcdef" not in found["problem"]
    assert [one["cluster_id"] for one in found["clusters"]] == [10, 11, 12]
    assert found["clusters"][1]["name"] == "owls"
    np.testing.assert_array_equal([one["center"] for one in found["clusters"]], model.centers)
    ask(service, "/predict", {"rows": [[1, 2], [3, 4]]})
    metrics = ask(service, "/metrics", method="GET")
    assert b"rows_total 2\n" in metrics.body
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert ask(service, "/readyz", method="GET").json == {"status": "ready"}
    service.is_stopping = True
    found = ask(service, "/readyz", method="GET")
    assert (found.status, found.json) == (503, {"status": "stopping"})
    assert ask(service, "/healthz", method="GET").status == 200
    service._models.served = None
    assert ask(service, "/predict", {"rows": []}).error["type"] == "not_ready"


def test_a_failure_is_an_answer_that_tells_nothing_of_it():
    class Broken(Counted):
        def predicted(self, served, X, assignment):
            raise ZeroDivisionError(f"of {X}")

    figures = Broken()
    service = a_service(figures=figures)
    found = ask(service, "/predict", {"rows": [[123.5, 2]]})
    assert (found.status, found.error["type"]) == (500, "internal_error")
    assert b"123.5" not in found.body
    assert figures.errors == ["ZeroDivisionError"]
    assert figures.answers == [("/predict", 500)]


def test_too_many_requests_at_a_time_are_sent_away_unread():
    service = a_service(limits=Limits(concurrent=2, body_bytes=1000, held_bodies=1))
    body = json.dumps({"rows": [[1, 2]]}).encode()

    async def several():
        slow = [asyncio.create_task(asked(service, "/predict", [body[:5], body[5:]], pause=0.2))
                for _ in range(2)]  # fmt: skip
        await asyncio.sleep(0.05)
        away = await asked(service, "/predict", [])  # whose body would fail to be read
        well = await asked(service, "/healthz", method="GET")
        return away, well, await asyncio.gather(*slow)

    away, well, served = asyncio.run(several())
    assert (away.status, away.error["type"]) == (429, "busy")
    assert away.headers["retry-after"] == "1"
    assert [well.status, *(one.status for one in served)] == [200] * 3
    assert ask(service, "/predict", body).status == 200

    async def much():
        slow = asyncio.create_task(asked(service, "/predict", [b" " * 900, body], pause=0.1))
        await asyncio.sleep(0.15)
        away = await asked(service, "/predict", [b" " * 101])
        return away, await slow

    away, slow = asyncio.run(much())
    assert (away.status, slow.status) == (429, 200)
    assert "memory" in away.error["message"]
    assert service._room.n_bytes == service._room.n_requests == 0


def test_answers_that_are_not_yet_taken_fill_the_room_too():
    service = a_service(limits=Limits(body_bytes=1000, held_bodies=1))
    body = json.dumps({"rows": [[1, 2]] * 11}).encode()

    async def both():
        takes = asyncio.Event()
        slow = asyncio.create_task(asked(service, "/distances", [body], takes=takes))
        await asyncio.sleep(0.05)
        away = await asked(service, "/distances", [body])
        few = await asked(service, "/predict", [body[:12] + b"1, 2]]}"])
        takes.set()
        return away, few, await slow

    away, few, slow = asyncio.run(both())
    assert 1000 / 2 < len(slow.body) < 1000 - len(body) - len(few.body)
    assert (away.status, away.error["type"], few.status, slow.status) == (429, "busy", 200, 200)
    assert service._room.n_bytes == service._room.n_requests == 0
    # whoever is alone may have more
    large = json.dumps({"rows": [[1, 2]] * 80}).encode()
    found = ask(service, "/distances", large)
    assert (found.status, len(found.body) > 1000 > len(large)) == (200, True)


def test_a_body_that_stays_away_is_not_waited_for():
    service = a_service(limits=Limits(seconds=0.1))
    found = asyncio.run(asked(service, "/predict", [b"{"] * 50, pause=0.02))
    assert (found.status, found.error["type"]) == (408, "too_slow")
    assert found.headers["connection"] == "close"
    figures = service._figures
    # a client that leaves gets nothing, and leaves nothing
    found = asyncio.run(asked(service, "/predict", [b"{"], leaves=True))
    assert found.status == 0
    assert figures.answers[-1] == ("/predict", 499)
    assert service._room.n_bytes == service._room.n_requests == 0


def test_large_requests_leave_the_event_loop_to_others():
    service = a_service(a_model(60, 40))
    X = np.random.default_rng(0).normal(size=(60_000, 40)).astype(np.float32)
    body = stream(table_of(X))
    warm(service.predictor().served.model)
    here, threads = threading.current_thread().name, set()
    predictor = service.predictor()

    def noted(act):
        def noting(*arguments):
            threads.add(threading.current_thread().name)
            return act(*arguments)

        return noting

    predictor.predict, predictor.read = noted(predictor.predict), noted(predictor.read)

    async def both():
        large = asyncio.create_task(asked(service, "/predict", [body], **ARROW))
        n_small, began = 0, time.perf_counter()
        while not large.done():
            assert (await asked(service, "/healthz", method="GET")).status == 200
            n_small += 1
            await asyncio.sleep(0)
        return await large, n_small, time.perf_counter() - began

    found, n_small, seconds = asyncio.run(both())
    assert found.status == 200
    assert n_small >= 5, seconds
    assert len(threads) == 1
    assert here not in threads
    threads.clear()
    assert ask(service, "/predict", {"rows": [[0] * 40]}).status == 200
    assert threads == {here}
