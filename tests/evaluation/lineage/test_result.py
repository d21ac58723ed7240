"""How a lineage is shown: as text, HTML, a frame, and plain values."""

import json
import pickle

import numpy as np

from dkmeans.evaluation.lineage.match import match
from dkmeans.evaluation.lineage.result import Lineage
from tests.evaluation.lineage.models import flow_of, model_of, spread

NAMES = {
    0: "night owls",
    1: "<img src=x onerror=alert(1)>",
    2: "夜型 🦉",
    3: "very " * 40,
}

# 0 is split into 0 and 5, 1 and 2 are merged into 1, 3 is kept, 4 is dealt out; one more is empty
TABLE = [
    [60, 40, 0, 0, 0],
    [0, 0, 70, 0, 0],
    [0, 0, 50, 0, 0],
    [0, 0, 0, 80, 0],
    [5, 0, 6, 9, 0],
]


def shown(n_rows: int = 320) -> Lineage:
    old, new = spread(5).renamed(NAMES), model_of(1e5 + 1e4 * np.arange(5))
    return match(old, new, flow_of(TABLE, n_rows))


def flat(found: Lineage) -> str:
    return " ".join(str(found).split())


def test_what_happened_is_said_in_words() -> None:
    text = flat(shown())
    assert "5 clusters before, 5 after: 3 kept, 2 new, 2 gone" in text
    assert "Churn: 34% of rows change the cluster id (320 rows)." in text
    assert (
        "Cluster 0 (night owls) was split: 60% of its rows are in 0 and 40% of its rows are in 5; "
        "0 keeps its id." in text
    )
    assert (
        "Clusters 1 (<img src=x onerror=alert(1)>) and 2 (夜型 🦉) were merged into 1, which keeps "
        "its id: 100% of 1 and 100% of 2 are in it." in text
    )
    assert "Cluster 6 is new and has no rows here." in text
    assert "Cluster 4 is gone: 45% of its rows are in 3, 30% are in 1 and 25% are in 0." in text
    # told once
    assert "Cluster 5 is new" not in text
    assert "Cluster 2 is gone" not in text


def test_without_rows_less_is_said() -> None:
    found = match(spread(2), model_of([1.0, 900.0, 930.0]), None)
    text = flat(found)
    assert "Matched by centers alone: churn, splits and merges are not known." in text
    assert "Cluster 1 is gone." in text
    assert "Cluster 2 is new." in text
    assert "Share" not in text
    assert found.sections()[0].columns == ("Before", "After", "Shift")
    assert found.to_dict()["flow"] is None


def test_weights_are_called_so() -> None:
    found = shown(n_rows=1000)
    assert "of the weight changes the cluster id" in flat(found)
    assert "60% of its weight are in 0" in flat(found)


def test_names_are_shown_safely() -> None:
    html = shown()._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "夜型 🦉" in html
    column = shown().sections()[0].columns.index("Name")
    cells = [row[column] for row in shown().sections()[0].rows]
    assert max(map(len, cells)) == 40
    assert "Name" not in match(spread(2), spread(2), None).sections()[0].columns


def test_the_table_has_a_line_for_each_cluster_in_the_order_of_ids() -> None:
    rows = shown().sections()[0].rows
    assert [row[:2] for row in rows] == [
        ("0", "0"),
        ("1", "1"),
        ("2", "-"),
        ("3", "3"),
        ("4", "-"),
        ("-", "5"),
        ("-", "6"),
    ]
    assert rows[0][3:7] == ("31%", "20%", "60%", "0.57")


def test_of_many_clusters_those_that_changed_most_are_shown() -> None:
    table = np.diag(np.full(40, 100.0))
    table[7, 8] = 50
    table[20, 20] = 0
    found = match(spread(40), model_of(1e5 + 1e4 * np.arange(40)), flow_of(table))
    (section,) = found.sections()
    assert len(section.rows) == 30
    firsts = [row[0] for row in section.rows]
    assert {"7", "8", "20"} <= {*firsts}
    assert firsts[:29] == sorted(firsts[:29], key=int)
    assert "The 30 of 41 clusters that changed most are shown" in flat(found)
    assert len(found.to_frame()) == 41


def test_many_changes_are_counted() -> None:
    table = np.repeat(np.eye(30), 2, axis=1) * 9
    found = match(spread(30), model_of(1e5 + 1e4 * np.arange(60)), flow_of(table))
    assert len(found.splits) == 30
    assert "10 more changes: to_dict() has all." in flat(found)


def test_the_frame_has_ids_names_and_figures() -> None:
    frame = shown().to_frame()
    assert frame.columns.tolist() == [
        *("old_id", "new_id", "cluster_name", "fate", "old_share", "new_share"),
        *("stays", "overlap", "shift"),
    ]
    assert str(frame["old_id"].dtype) == str(frame["new_id"].dtype) == "Int64"
    assert frame["fate"].tolist() == ["kept", "kept", "gone", "kept", "gone", "new", "new"]
    assert frame["old_id"].isna().tolist() == [False] * 5 + [True] * 2
    assert frame["cluster_name"][2] == NAMES[2]
    np.testing.assert_allclose(frame["old_share"].sum(), 1)
    np.testing.assert_allclose(frame["new_share"].sum(), 1)
    np.testing.assert_allclose(frame["stays"][[0, 1, 3]], [0.6, 1, 1])
    assert frame["shift"].notna().tolist() == [True, True, False, True, False, False, False]


def test_plain_values_survive_json() -> None:
    found = json.loads(json.dumps(shown().to_dict(), allow_nan=False))
    assert found["churn"] == 110 / 320
    assert found["new_ids"] == [0, 5, 1, 3, 6]
    assert found["next_cluster_id"] == 7
    assert found["splits"][0]["parts"][1] == {
        "cluster_id": 5,
        "share_of_old": 0.4,
        "share_of_new": 1.0,
    }
    assert found["merges"][0]["kept_from"] == 1
    assert found["deaths"][1]["parts"][0]["cluster_id"] == 3
    flow = found["flow"]
    assert sum(flow["weight"]) == 320
    assert (flow["old_id"][1], flow["new_id"][1], flow["weight"][1]) == (0, 5, 40.0)
    empty = match(spread(2), spread(2), flow_of(np.zeros((2, 2))))
    assert json.loads(json.dumps(empty.to_dict(), allow_nan=False))["churn"] is None
    assert "no weight" in flat(empty)


def test_it_survives_pickling() -> None:
    found = shown()
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
