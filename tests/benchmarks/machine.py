"""The machine and the versions that figures belong to."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

PACKAGES = (
    "dkmeans",
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "pyarrow",
    "dask",
    "distributed",
    "scikit-learn",
    "scikit-learn-intelex",
    "daal",
    "faiss-cpu",
    "superkmeans",
    "dask-ml",
    "pyspark",
    "fastapi",
    "uvicorn",
    "msgspec",
)
TOLD_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")


def versions() -> dict[str, str]:
    """Version of each package; empty where it is not installed."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def cpu() -> dict[str, Any]:
    """Name, cores, vector instructions and caches of the processor."""
    found: dict[str, Any] = {
        "model": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "flags": [],
    }
    info = Path("/proc/cpuinfo")
    if info.exists():
        told = dict(
            (part.strip() for part in line.split(":", 1))
            for line in info.read_text().splitlines()
            if ":" in line
        )
        found["model"] = told.get("model name", found["model"])
        if "cpu family" in told:
            found["model"] += f" (family {told['cpu family']}, model {told.get('model', '?')})"
        flags = told.get("flags", told.get("Features", "")).split()
        found["flags"] = [flag for flag in TOLD_FLAGS if flag in flags]
    found["caches"] = _caches()
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    found["governor"] = governor.read_text().strip() if governor.exists() else "not told"
    return found


def _caches() -> dict[str, str]:
    caches = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = (folder / "level").read_text().strip(), (folder / "type").read_text().strip()
        caches[f"L{level} {kind.lower()}"] = (folder / "size").read_text().strip()
    return caches


def commit() -> str:
    """The commit that is measured; empty outside of a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def setting() -> dict[str, Any]:
    """All of it, with the date and what else the machine does."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cpu": cpu(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions(),
    }


def headline(found: dict[str, Any]) -> str:
    """One line that says where figures were taken."""
    return (
        f"{found['cpu']['model']}, {found['cpu']['cores']} cores, {found['memory_gib']} GiB, "
        f"{found['date']}, load {found['load']}"
    )
