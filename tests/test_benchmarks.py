"""The machinery of the benchmarks; `-m slow` runs each of them in small."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks import choice, data, end, kernels, memory, pools, quality, results, sets
from tests.benchmarks.child import Child, PeerAbsent, PeerFailed
from tests.benchmarks.fit import BUDGETS, Ladder
from tests.benchmarks.measure import Timing, interleaved, is_far_behind, ratio, slope
from tests.benchmarks.references import References, digest, timing_of
from tests.benchmarks.report import Report, judged
from tests.benchmarks.tables import markdown_table, text_table

ROOT = Path(__file__).parent.parent


def a_report(command: str = "kernels", **options: Any) -> Report:
    setting = {
        "date": "2026-01-01 00:00 UTC",
        "commit": "abc",
        "cpu": {"model": "a cpu", "cores": 2, "flags": ["avx2"], "caches": {}, "governor": "?"},
        "memory_gib": 8,
        "system": "Linux",
        "python": "3.12",
        "load": 0.1,
        "versions": {"numpy": "2.1", "faiss-cpu": ""},
    }
    return Report(command, options, setting)


class TestMeasure:
    @pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
    def test_slope_is_the_exponent(self, exponent: float) -> None:
        sizes = [1, 2, 4, 8, 16]
        assert slope(sizes, [3 * size**exponent for size in sizes]) == pytest.approx(exponent)

    def test_slope_is_that_of_least_squares(self) -> None:
        sizes, seconds = np.array([1.0, 2, 4, 8]), np.array([1.0, 2.5, 3.5, 9])
        expected = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        assert slope(sizes.tolist(), seconds.tolist()) == pytest.approx(expected)

    def test_runs_take_turns_and_the_first_does_not_count(self) -> None:
        order: list[str] = []
        seconds = {"a": iter([100.0, 1, 2, 6]), "b": iter([90.0, 4, 5, 3])}

        def run(name: str) -> Callable[[], float]:
            def one() -> float:
                order.append(name)
                return next(seconds[name])

            return one

        found = interleaved({name: run(name) for name in "ab"}, n_runs=3)
        assert order == list("abababab")
        assert found["a"].values == (1, 2, 6)
        assert found["b"].median == 4

    def test_what_is_far_behind_counts_with_one_run(self) -> None:
        found = interleaved({"a": lambda: 1.0, "b": lambda: 3.5, "c": lambda: 2.5}, n_runs=4)
        assert {name: len(one.values) for name, one in found.items()} == {"a": 4, "b": 1, "c": 4}

    def test_ours_counts_with_all_runs(self) -> None:
        found = interleaved({"a": lambda: 1.0, "b": lambda: 9.0}, n_runs=4, always="b")
        assert {name: len(one.values) for name, one in found.items()} == {"a": 4, "b": 4}

    def test_differences_that_drown_in_noise_put_nobody_behind(self) -> None:
        assert not is_far_behind(1.0, [1.0, -0.5], 3)
        assert not is_far_behind(-1.0, [-1.0], 3)
        assert is_far_behind(3.1, [3.1, 1.0, -0.5], 3)

    def test_what_fails_is_left_out_and_told(self) -> None:
        calls: list[int] = []

        def fails() -> float:
            calls.append(1)
            if len(calls) == 2:
                raise PeerFailed("no more")
            return 1.0

        told: dict[str, str] = {}
        runs = {"bad": fails, "good": lambda: 1.0}
        found = interleaved(runs, 3, on_failure=lambda name, error: told.update({name: str(error)}))
        assert list(found) == ["good"]
        assert told == {"bad": "no more"}
        assert len(calls) == 2

    def test_a_failure_that_nobody_hears_of_is_raised(self) -> None:
        def fails() -> float:
            raise PeerFailed("no")

        with pytest.raises(PeerFailed, match="no"):
            interleaved({"bad": fails}, 1)

    def test_a_spread_that_reaches_zero_is_noise(self) -> None:
        assert Timing((1.0, 0.1)).is_clear
        assert not Timing((1.0, -0.1, 2.0)).is_clear

    def test_rates_and_ratios(self) -> None:
        assert Timing((2.0, 4.0, 1.0)).per(8).values == (4, 2, 8)
        assert ratio(6, 2) == 3
        assert ratio(1, 0) == np.inf

    def test_shows_the_spread(self) -> None:
        assert Timing((2.0, 4.0, 1.0)).shown() == "2 (1..4)"
        assert Timing((2.0,)).shown() == "2 (1 run)"


class TestTables:
    def test_columns_are_aligned(self) -> None:
        lines = text_table(["", "ms"], [["dkmeans", "1.5"], ["b", "12.25"]]).splitlines()
        assert lines == ["            ms", "dkmeans    1.5", "b        12.25"]

    def test_markdown_escapes_bars(self) -> None:
        lines = markdown_table(["a", "b"], [["k-means||", "1"]]).splitlines()
        assert lines == ["| a | b |", "|---|---|", "| k-means\\|\\| | 1 |"]


class TestTargets:
    @pytest.mark.parametrize(
        ("wanted", "found", "at_least", "verdict"),
        [
            (2, 2, True, "met"),
            (2, 1.5, True, "missed by 25%"),
            (0.1, 0.05, False, "met"),
            (1.05, 1.26, False, "missed by 20%"),
            (1.0, 1.0002, False, "missed by 0.02%"),
            (1, None, True, "not measured"),
        ],
    )
    def test_says_by_how_much_it_is_missed(
        self, wanted: float, found: float | None, at_least: bool, verdict: str
    ) -> None:
        assert judged(wanted, found, at_least) == verdict

    def test_every_shape_is_asked_for_its_speed(self) -> None:
        wanted = {(shape.n, shape.d, shape.k): shape.target for shape in kernels.SHAPES}
        assert wanted == {
            (2_000_000, 2, 8): 3.5,
            (1_000_000, 8, 20): 2.5,
            (500_000, 16, 16): 2.0,
            (1_000_000, 32, 100): 2.5,
            (500_000, 64, 1000): 1.3,
            (300_000, 128, 256): 1.2,
            (100_000, 768, 1000): 1.1,
        }
        assert [shape.d for shape in kernels.SHAPES if shape.unpruned] == [768]

    def test_noise_is_nobodys_best(self) -> None:
        rivals = {"onedal": Timing((0.1, -0.1, 0.2)), "faiss": Timing((4.0,))}
        ceilings = {"sgemm cube 4096, as installed": 1000.0}
        line = kernels._judged(a_report(), kernels.SHAPES[0], Timing((1.0,)), rivals, ceilings)
        assert line[-3:] == ["FAISS", "4.00", "3.5: met"]

    def test_a_peer_that_prunes_does_not_count_where_only_whole_distances_do(self) -> None:
        shape = kernels.SHAPES[-1]
        rivals = {"superkmeans": Timing((0.5,)), "faiss": Timing((2.2,))}
        ceilings = {"sgemm cube 4096, as installed": 1000.0}
        line = kernels._judged(a_report(), shape, Timing((1.0,)), rivals, ceilings)
        assert line[-3:] == ["FAISS", "2.20", "1.1: met"]
        line = kernels._judged(a_report(), kernels.SHAPES[0], Timing((1.0,)), rivals, ceilings)
        assert line[-3:-1] == ["SuperKMeans", "0.50"]


class TestChoice:
    SHAPES = tuple((shape.n, shape.d, shape.k) for shape in kernels.SHAPES)

    def test_whole_blocks_are_of_every_shape_and_fit(self) -> None:
        whole = [case for case in choice.cases(self.SHAPES) if case.is_whole]
        expected = {(d, k, dtype) for _, d, k in self.SHAPES for dtype in choice.DTYPES}
        assert {(case.d, case.k, case.dtype) for case in whole} == expected
        assert len(whole) == len(expected)
        for case in whole:
            n_bytes = case.n * case.d * np.dtype(case.dtype).itemsize
            assert n_bytes <= choice.MOST_BYTES
            assert case.chosen == "compiled"

    def test_smaller_blocks_are_of_both_sides_of_the_choice(self) -> None:
        cases = list(choice.cases(self.SHAPES))
        for _, d, k in self.SHAPES:
            small = [case for case in cases if (case.d, case.k) == (d, k) and not case.is_whole]
            assert {case.chosen for case in small} == {"compiled", "NumPy"}
            assert {case.dtype for case in small} == set(choice.DTYPES)

    def test_regret_is_how_much_longer_the_chosen_kind_takes(self) -> None:
        large = choice.Case(10**6, 2, 8, "float32", is_whole=True)
        assert choice.Loss.of(large, {"compiled": 3.0, "NumPy": 2.0}).regret == 0.5
        assert choice.Loss.of(large, {"compiled": 2.0, "NumPy": 3.0}).regret == 0
        small = choice.Case(10, 2, 8, "float32", is_whole=False)
        loss = choice.Loss.of(small, {"compiled": 2.0, "NumPy": 3.0})
        assert (loss.seconds, loss.regret) == (1, 0.5)

    def test_whole_blocks_are_judged_and_of_smaller_ones_the_worst_is_told(self) -> None:
        report = a_report()
        small = choice.Case(10, 2, 8, "float32", is_whole=False)
        large = choice.Case(10**6, 2, 8, "float32", is_whole=True)
        losses = [choice.Loss(small, 1e-3, 7.0), choice.Loss(large, 0.1, 0.25)]
        choice.judge(report, losses)
        (target,) = report.found["targets"]
        assert (target["found"], target["is"]) == (0.25, "missed by 150%")
        about_small = report.found["notes"][1]
        assert "left to NumPy: 1 of 1 regret more than 10%; at most 700.0%" in about_small
        assert "1 ms a block" in about_small


class TestResults:
    def found(self) -> dict[str, Any]:
        report = a_report(threads=2, quick=True)
        ours = Timing((2.0, 3.0, 2.5))
        theirs = {"slower": Timing((5.0,)), "faster": Timing((1.0,)), "equal": Timing((2.5,))}
        report.compare("a fit", ours, theirs)
        report.compare("a rate", ours, {"higher": Timing((5.0,))}, "GB/s", less_is_better=False)
        report.compare("a quality", None, {"there": Timing((9.0,))})
        report.target("speed", 2, 1)
        report.note("a peer: not installed")
        report.table("A table", ["", "ms"], [["dkmeans", 1]], "read so")
        report.pools("dkmeans", {"threadpoolctl": [{"internal_api": "openblas", "num_threads": 2}]})
        return json.loads(json.dumps(report.found))

    def test_every_better_median_is_a_loss_the_worst_first(self) -> None:
        lost = results.losses([self.found()])
        assert [(what, peer, times) for what, peer, _, _, times in lost] == [
            ("a quality", "there", np.inf),
            ("a fit", "faster", 2.5),
            ("a rate", "higher", 2.0),
        ]
        assert lost[0][3] == "never"

    def test_the_page_tells_all(self) -> None:
        text = results.page([self.found()])
        for part in (
            "a cpu, 2 cores",
            "numpy 2.1",
            "not installed: faiss-cpu",
            "2026-01-01",
            "| speed | at least 2 | 1 | missed by 50% |",
            "3 of 5 comparisons",
            "| a fit | faster | 1 (1 run) s | 2.5 (2..3) s | 2.50 |",
            "- a peer: not installed",
            "### A table",
            "| dkmeans | openblas |",
            "Small sizes",
        ):
            assert part in text

    def test_benchmarks_come_in_one_order(self) -> None:
        found = [a_report(command).found for command in ("io", "unknown", "kernels", "ceilings")]
        text = results.page(found)
        places = [text.index(f"## {one}\n") for one in ("ceilings", "kernels", "io", "unknown")]
        assert places == sorted(places)

    def test_a_folder_without_results_is_refused(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "tests.benchmarks", "results", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "holds no JSON files" in done.stderr


class TestEvaluator:
    @pytest.fixture
    def X(self, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
        monkeypatch.setattr(data, "EVALUATED_ROWS", 64)
        return data.mixture(200, 3, 5) + np.float32(1000)

    def test_inertia_is_that_of_all_distances(self, X: np.ndarray) -> None:
        centers = data.start_rows(X, 7)
        sq_distances = ((X[:, None].astype(np.float64) - centers) ** 2).sum(axis=2)
        expected = sq_distances.min(axis=1).sum()
        assert data.inertia_of(X, centers) == pytest.approx(expected, rel=1e-12)
        assert (data.assigned(X, centers)[0] == sq_distances.argmin(axis=1)).all()

    def test_a_step_moves_centers_to_means_and_leaves_empty_ones(self, X: np.ndarray) -> None:
        centers = np.vstack([data.start_rows(X, 3), np.full((1, 3), 1e6)])
        labels, _ = data.assigned(X, centers)
        moved = data.lloyd_step(X, centers)
        for cluster in range(3):
            expected = X[labels == cluster].mean(axis=0, dtype=np.float64)
            np.testing.assert_allclose(moved[cluster], expected)
        assert (moved[3] == 1e6).all()

    def test_parquet_is_evaluated_as_the_array_is(self, X: np.ndarray, tmp_path: Path) -> None:
        centers = data.start_rows(X, 4)
        folder = data.write_parquet(tmp_path / "rows", X, n_files=3, groups=2)
        assert len(list(Path(folder).glob("*.parquet"))) == 3
        found = data.inertia_of_parquet(folder, centers)
        assert found == pytest.approx(data.inertia_of(X, centers), rel=1e-12)

    def test_the_same_seed_draws_the_same_rows(self) -> None:
        first, again, other = (data.mixture(50, 2, 3, seed) for seed in (1, 1, 2))
        assert first.dtype == np.float32
        assert (first == again).all()
        assert not (first == other).any()


class TestSets:
    FEWER = 100

    @pytest.mark.parametrize(
        "draw", [sets.gauss(10), sets.heavy_tail, sets.in_random_order, sets.by_cluster]
    )
    def test_a_set_is_the_same_whenever_it_is_drawn(
        self, draw: Callable[[int], sets.Drawn]
    ) -> None:
        first, again = draw(self.FEWER), draw(self.FEWER)
        assert first.X.shape[0] == sets.N_DRAWN // self.FEWER
        assert first.X.dtype == np.float32
        assert (first.X == again.X).all()
        assert first.cuts == again.cuts

    @pytest.mark.parametrize("variance", [1, 10, 100])
    def test_centers_of_a_gauss_mixture_have_their_variance(self, variance: float) -> None:
        X = sets.gauss(variance)(self.FEWER).X
        assert X.shape[1] == 15
        assert X.var(axis=0).mean() == pytest.approx(variance + 1, rel=0.2)

    def test_sizes_fall_to_the_least(self) -> None:
        sizes = sets.tail_sizes(1_000_000)
        assert sizes.sum() == 1_000_000
        assert (np.diff(sizes) <= 0).all()
        assert (sizes == 10).sum() > 1

    def test_small_clusters_lie_far_away(self) -> None:
        X, sizes = sets.heavy_tail(20).X, sets.tail_sizes(50_000)
        far = np.linalg.norm(X, axis=1) > 150
        assert far.sum() == sizes[sizes < sets.TAIL_SMALL].sum()
        # to lose one of the least matters
        assert sizes.min() * (X[far] ** 2).sum(axis=1).min() > 0.01 * X.size

    def test_adversarial_orders_are_of_the_same_rows(self, tmp_path: Path) -> None:
        mixture = sets.in_random_order(self.FEWER).X
        by_feature, by_cluster = sets.by_feature(self.FEWER), sets.by_cluster(self.FEWER)
        assert (np.diff(by_feature.X[:, 0]) >= 0).all()
        assert digest(mixture) == digest(by_feature.X) == digest(by_cluster.X)
        assert not (mixture == by_cluster.X).all()
        assert len(list(Path(by_feature.write(tmp_path / "f")).iterdir())) == sets.N_FILES
        files = sorted(Path(by_cluster.write(tmp_path / "c")).iterdir())
        assert len(files) == sets.MIXED_K
        parts = [data.array_of_parquet(file) for file in files]
        assert (np.vstack(parts) == by_cluster.X).all()
        # a file holds unit noise around its center, and nothing of other clusters
        assert max(part.std(axis=0).max() for part in parts) < 1.5

    def test_a_file_gives_its_numbers_but_the_label(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sets, "SHARED", tmp_path)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(range(6), pa.uint8()), 2)
        table = pa.table({"label": [7, 8, 9], "x": [1.5, 2, 3], "t": ["a", "b", "c"], "y": lists})
        pq.write_table(table, tmp_path / "some.parquet")
        assert sets.of_file("some")(1).X.tolist() == [[1.5, 0, 1], [2, 2, 3], [3, 4, 5]]
        assert sets.of_file("some")(2).X.tolist() == [[1.5, 0, 1], [3, 4, 5]]
        with pytest.raises(sets.SetAbsent, match=r"other\.parquet is not in"):
            sets.of_file("other")(1)

    def test_chosen_by_name_or_with_the_number_of_clusters(self) -> None:
        assert sets.chosen(None) == list(sets.CASES)
        assert [one.key for one in sets.chosen("spam-50,kddcup")] == [
            "spam-50",
            "kddcup-50",
            "kddcup-500",
        ]
        with pytest.raises(SystemExit, match="--sets spum is not known; choose from a3, "):
            sets.chosen("spam,spum")

    def test_keys_tell_cases_apart(self) -> None:
        assert len({one.key for one in sets.CASES}) == len(sets.CASES)
        assert {one.alike for one in sets.CASES} <= {"", *(one.name for one in sets.CASES)}


class TestReferences:
    def test_only_what_is_not_known_is_fitted(self, tmp_path: Path) -> None:
        path, fitted = tmp_path / "new" / "references.json", []

        def fit(seed: int) -> dict[str, Any]:
            fitted.append(seed)
            return {"inertia": 10.0 + seed, "seconds": 1.0}

        References(path).complete("a", 5, 2, fit)
        References(path).complete("b", 6, 1, fit)
        References(path).complete("a", 5, 3, fit)
        assert fitted == [0, 1, 0, 2]
        known = References(path).known("a", 5)
        assert timing_of(known, "inertia").values == (10, 11, 12)
        assert list(path.parent.iterdir()) == [path]

    def test_what_is_known_of_other_rows_does_not_count(self, tmp_path: Path) -> None:
        references = References(tmp_path / "references.json")
        references.complete("a", 5, 2, lambda seed: {"inertia": 1.0})
        assert references.known("a", 6) == {}
        references.complete("a", 6, 1, lambda seed: {"inertia": 2.0})
        assert references.known("a", 6) == {0: {"inertia": 2.0}}
        assert references.known("a", 5) == {}

    def test_fits_that_ended_are_kept_when_one_fails(self, tmp_path: Path) -> None:
        references = References(tmp_path / "references.json")

        def fit(seed: int) -> dict[str, Any]:
            if seed == 1:
                raise PeerFailed("gone")
            return {"inertia": 1.0}

        with pytest.raises(PeerFailed):
            references.complete("a", 5, 2, fit)
        assert list(references.known("a", 5)) == [0]

    def test_other_rows_have_another_digest(self) -> None:
        X = data.mixture(100, 3, 2)
        other = X.copy()
        other[50, 1] += 1
        assert digest(X[::-1]) == digest(X)
        assert digest(other) != digest(X)


class TestQuality:
    def test_inertias_are_those_of_the_scaled_space(self) -> None:
        from sklearn.preprocessing import StandardScaler

        X = np.column_stack([data.mixture(500, 3, 4) * [1, 100, 1e-3], np.full(500, 7.0)])
        case = sets.Case("a", 4, lambda fewer: sets.Drawn(X), scale="standard")
        rows = quality.prepared(case, X)
        scaler = StandardScaler().fit(X)
        assert (rows.scaled() == scaler.transform(X)).all()
        centers = data.start_rows(X, 4)
        expected = ((scaler.transform(X)[:, None] - scaler.transform(centers)) ** 2).sum(axis=2)
        assert rows.inertia_of(centers) == pytest.approx(expected.min(axis=1).sum(), rel=1e-12)

    def test_orders_of_the_same_rows_share_their_reference(self) -> None:
        X = data.mixture(50, 2, 3)
        names = {
            quality.prepared(one, X).name
            for one in sets.chosen("mixture,by-feature,by-cluster,heavy-tail")
        }
        assert names == {"mixture, 50 x 2, k=100", "heavy-tail, 50 x 2, k=100"}

    def test_a_coreset_of_many_rows_is_a_tenth_of_them(self) -> None:
        (case,) = sets.chosen("kddcup-standard-50")
        expected = {"init": "coreset", "scale": "standard"}
        assert quality.options_of(case, 5000, "coreset", large=False) == expected
        expected["coreset_size"] = 49402
        assert quality.options_of(case, 494_021, "coreset", large=True) == expected
        other = quality.options_of(case, 494_021, "k-means||", large=True)
        assert other == {"init": "k-means||", "scale": "standard"}
        assert quality.prepared(case, np.eye(100_000, 1)).large
        assert not quality.prepared(case, np.eye(99_999, 1)).large

    def runs(self, *inertias: float) -> dict[int, dict[str, Any]]:
        others = {"seconds": 1.0, "n_iter": 3, "n_passes": 4}
        return {seed: {"inertia": one, **others} for seed, one in enumerate(inertias)}

    def test_the_first_init_is_judged_by_median_and_worst(self) -> None:
        report, theirs = a_report("quality"), self.runs(90.0, 100.0, 120.0)
        found = {"coreset": self.runs(99.0, 100.2, 104.0), "k-means||": self.runs(90, 91, 92)}
        (case,) = sets.chosen("gauss-10")
        quality.judge(report, case, theirs, found, list(found))
        targets = [(one["wanted"], one["found"], one["is"]) for one in report.found["targets"]]
        assert targets == [
            (1.003, pytest.approx(1.002), "met"),
            (1.03, pytest.approx(1.04), "missed by 0.97%"),
            (2, pytest.approx(1.04), "met"),
        ]
        medians = [one["ours"]["median"] for one in report.found["comparisons"]]
        assert medians == [100.2, 91]
        quality.judge(report, case, theirs, {}, ["coreset"])
        assert [one["is"] for one in report.found["targets"][3:]] == ["not measured"] * 3

    def test_the_same_optimum_is_no_loss(self) -> None:
        report, (case,) = a_report("quality"), sets.chosen("gauss-100")
        theirs, found = self.runs(14996027.0), {"coreset": self.runs(14996027.1)}
        quality.judge(report, case, theirs, found, ["coreset"])
        assert results.losses([report.found]) == []
        quality.judge(report, case, theirs, {"coreset": self.runs(15000000.0)}, ["coreset"])
        assert len(results.losses([report.found])) == 1

    def test_on_the_heavy_tail_the_median_may_not_be_higher(self) -> None:
        report, (case,) = a_report("quality"), sets.chosen("heavy-tail")
        quality.judge(report, case, self.runs(100), {"coreset": self.runs(100.1)}, ["coreset"])
        assert report.found["targets"][0]["is"] == "missed by 0.10%"

    def test_lines_are_in_units_of_the_reference(self) -> None:
        (case,) = sets.chosen("by-feature")
        rows = quality.prepared(case, data.mixture(50, 2, 3))
        theirs = self.runs(90.0, 100.0, 120.0)
        reference, ours = quality.lines_of(rows, theirs, {"coreset": self.runs(98.0, 101.0)})
        assert reference[:5] == [
            "by-feature, 50 x 2, k=100",
            "scikit-learn",
            "100",
            "1.2000",
            "0.9000",
        ]
        assert ours[:5] == ["", "coreset (2 seeds)", "0.9950", "1.0100", "0.9800"]


class TestEnd:
    def test_ours_is_judged_by_speed_and_the_best_inertia(self) -> None:
        report = a_report("end")

        def runs(*found: tuple[float, float]) -> list[dict[str, Any]]:
            return [
                {"seconds": seconds, "iterations": 3, "passes": "?", "inertia": inertia}
                for seconds, inertia in found
            ]

        found = {
            end.OURS: runs((2.0, 10.0), (3.0, 12.0), (4.0, 11.0)),
            "sklearn-lloyd": runs((60.0, 13.0)),
            "onedal": runs((9.0, 10.0)),
            "dask-ml": [],
        }
        end.show(report, found, "a fit")
        assert [(one["wanted"], one["found"], one["is"]) for one in report.found["targets"]] == [
            (15, 20, "met"),
            (5, 3, "missed by 40%"),
            (40, None, "not measured"),
            (1, 1.1, "missed by 10%"),
        ]
        (table,) = report.found["tables"]
        assert [row[2] for row in table["rows"]] == ["1.0", "20.0", "3.0"]
        seconds, inertia = report.found["comparisons"]
        assert list(seconds["theirs"]) == ["scikit-learn lloyd", "oneDAL (sklearnex)"]
        assert inertia["ours"]["median"] == 11

    def test_a_fit_to_files_is_one_to_their_rows(self, tmp_path: Path) -> None:
        X = data.mixture(3000, 4, 5)
        folder = data.write_parquet(tmp_path / "rows", X, n_files=3)
        assert (data.array_of_parquet(folder) == X).all()
        for name in ("sklearn-lloyd", "dkmeans-kmeans"):
            found = end.once(name, folder, 5, 0, 1)
            assert found["inertia"] < 1.5 * X.size
            assert found["seconds"] > 0


class TestLadder:
    def test_climbs_until_the_quality_is_reached(self) -> None:
        ladder = Ladder("one", 0)
        ladder.climb(lambda budget: (0.5 * budget, 100 / budget, None), 21)
        assert [budget for budget, _, _ in ladder.runs] == [1, 2, 3, 5]
        assert ladder.reached(21) == 2.5
        assert ladder.reached(50) == 1.0
        assert ladder.ended == ""
        # and goes on from there when others turn out to be better
        ladder.climb(lambda budget: (0.5 * budget, 100 / budget, None), 10)
        assert [budget for budget, _, _ in ladder.runs][4:] == [8, 12]

    def test_ends_with_its_time(self) -> None:
        ladder = Ladder("one", 0)
        ladder.climb(lambda budget: (budget, 1.0, None), 0.5, most_seconds=5)
        assert [budget for budget, _, _ in ladder.runs] == [1, 2, 3]
        assert ladder.reached(0.5) is None
        assert "were spent" in ladder.ended

    def test_ends_where_nothing_moves_any_more(self) -> None:
        ladder = Ladder("one", 0)
        ladder.climb(lambda budget: (0.0, 1.0, min(budget, 4)), 0.5)
        assert [budget for budget, _, _ in ladder.runs] == [1, 2, 3, 5]
        assert ladder.ended == "converged in 4"

    def test_ends_with_its_budgets_or_a_failure(self) -> None:
        ladder = Ladder("one", 0)
        ladder.climb(lambda budget: (0.0, 1.0, None), 0.5)
        assert [budget for budget, _, _ in ladder.runs] == list(BUDGETS)
        assert ladder.ended == f"{BUDGETS[-1]} were not enough"

        def fails(budget: int) -> tuple[float, float, int | None]:
            raise PeerFailed("gone")

        failed = Ladder("two", 0)
        failed.climb(fails, 0.5)
        assert (failed.runs, failed.ended) == ([], "gone")


class TestProcesses:
    def test_pins_every_pool(self) -> None:
        pinned = pools.pinned(3)
        assert {pinned[name] for name in pools.THREAD_VARIABLES} == {"3"}

    def test_a_peer_works_in_a_process_of_its_own(self, tmp_path: Path) -> None:
        X = data.mixture(500, 3, 4)
        np.save(tmp_path / "X.npy", X)
        start = data.start_rows(X, 4)
        child = Child("dkmeans", 1, pools.pinned(1))
        try:
            assert child.pid != os.getpid()
            with pytest.raises(PeerFailed, match="FileNotFoundError"):
                child.call("load", str(tmp_path / "absent.npy"))
            child.call("load", str(tmp_path / "X.npy"))
            run = child.call("iterate", start, 2)
            told = child.call("pools")
        finally:
            child.close()
        expected = data.lloyd_step(X, data.lloyd_step(X, start))
        np.testing.assert_allclose(run.centers, expected, atol=1e-5)
        assert run.n_iter == 2
        assert told["OMP_NUM_THREADS"] == "1"
        assert {pool["num_threads"] for pool in told["threadpoolctl"]} == {1}

    def test_a_missing_peer_is_named_with_the_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "faiss.py").write_text("raise ImportError('No module named faiss')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(PeerAbsent, match=r"not installed: pip install dkmeans\[bench\]"):
            Child("faiss", 1)

    def test_the_peak_of_a_process_is_seen(self, tmp_path: Path) -> None:
        X = np.zeros((1_000_000, 4), np.float32)
        np.save(tmp_path / "X.npy", X)
        few = memory._few_rows(str(tmp_path))
        before, peak = memory._peak("dkmeans-kmeans", str(tmp_path / "X.npy"), few, 2, 1)
        assert peak - before >= X.nbytes


COMMANDS = ("ceilings", "kernels", "fit", "quality", "memory", "scale", "io", "end", "serve")
PEERS_NEEDED = ("sklearnex", "faiss", "superkmeans", "dask_ml", "pyspark")


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestCommands:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_runs_in_small_and_composes_results(self, command: str, tmp_path: Path) -> None:
        absent = [name for name in PEERS_NEEDED if importlib.util.find_spec(name) is None]
        if absent and command in ("kernels", "fit", "memory", "end"):
            pytest.skip(f"needs the extra bench: {', '.join(absent)} not installed")
        run = [sys.executable, "-m", "tests.benchmarks"]
        subprocess.run([*run, command, "--quick", "--out", str(tmp_path)], cwd=ROOT, check=True)
        found = json.loads((tmp_path / f"{command}.json").read_text())
        assert found["tables"]
        assert found["targets"] or command == "ceilings"
        page = tmp_path / "RESULTS.md"
        subprocess.run([*run, "results", str(tmp_path), "--to", str(page)], cwd=ROOT, check=True)
        assert "## Where we lose" in page.read_text()
