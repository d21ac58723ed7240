"""Run a benchmark: `python -m tests.benchmarks COMMAND`, from the root of a checkout.

Each prints tables and writes a JSON file; `results FOLDER` makes RESULTS.md of these. Peers come
with the extra `bench`; one that is not installed is named, and left out.
"""

import argparse
import importlib

from tests.benchmarks import measure, pools

COMMANDS = {
    "ceilings": "what the machine can do at most",
    "kernels": "seconds per iteration in memory, against every peer; the choice of kernels",
    "fit": "whole fits: from one start, to a given quality, and of Parquet against dask-ml",
    "quality": "the inertia of many seeds and sets against scikit-learn's, converged",
    "memory": "the most memory that a fit takes",
    "scale": "growth with rows, features, clusters and blocks, and the share of Dask",
    "io": "passes over staged blocks and Parquet against the same kernels in memory",
    "parquet": "a fit of a FOLDER of Parquet against dask-ml",
    "end": "from files to a model: a FOLDER of Parquet, reading included, against every peer",
    "minibatch": "a mini-batch fit of a FOLDER of Parquet against scikit-learn",
    "evaluate": "an evaluation of a FOLDER of Parquet against passes of Lloyd",
    "sweep": "a sweep over numbers of clusters against the largest fit, from an S3 server",
    "stream": "memory and lag on an endless stream",
    "s3_clients": "s3fs against pyarrow's filesystem, on a store that fails",
    "serve": "requests and rows a second of a service, against FastAPI with scikit-learn",
    "results": "compose RESULTS.md from the JSON files of a FOLDER",
}


def main(arguments: list[str] | None = None) -> None:
    """Pin all pools, then import and run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    named, rest = parser.parse_known_args(arguments)
    own = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks {named.command}", description=COMMANDS[named.command]
    )
    own.add_argument("--threads", type=int, default=2, help="of every library (2)")
    own.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    own.add_argument("--runs", type=int, help="that count; 5, or 2 of small sizes")
    own.add_argument("--out", default="benchmark-results", help="folder of the JSON file")
    known, _ = own.parse_known_args([one for one in rest if one not in ("-h", "--help")])
    pools.pin(known.threads)

    module = importlib.import_module(f"tests.benchmarks.{named.command}")
    module.add_arguments(own)
    asked = own.parse_args(rest)
    asked.runs = asked.runs or (2 if asked.quick else measure.N_RUNS)
    if named.command == "results":
        module.compose(asked)
        return
    from tests.benchmarks import machine
    from tests.benchmarks.report import Report

    setting = machine.setting()
    print(machine.headline(setting), flush=True)
    report = Report(named.command, vars(asked), setting)
    report.pools("this process", pools.told())
    try:
        module.run(report, asked)
    finally:
        report.show_targets()
        report.save(asked.out)


if __name__ == "__main__":
    main()
