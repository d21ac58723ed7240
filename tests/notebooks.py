"""Execute every notebook from clean and fail if one does; outputs are not kept.

python -m tests.notebooks
"""

import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
CELL_SECONDS = 120


def main() -> None:
    """Run all, in order."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if any(cell.get("outputs") for cell in notebook.cells):
            raise SystemExit(f"{path.name} has outputs; strip them before committing.")
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            NotebookClient(
                notebook,
                timeout=CELL_SECONDS,
                kernel_name="python3",
                resources={"metadata": {"path": scratch}},
            ).execute()
        print(f"{path.name}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
