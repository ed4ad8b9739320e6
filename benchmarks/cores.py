"""The core in two builds side by side: as plain Python, and compiled together with the benchmarks' loops.

Each build is a folder with its own copy of ``matching/`` and of what the measuring process needs, so that whatever is
compiled in place in the checkout plays no part. A measurement runs in a process of its own, pinned to one processor, and
prints one line of JSON.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOOPS = Path("benchmarks/core_loops.py")
PLAIN = "plain"
COMPILED = "compiled"


@contextmanager
def builds() -> Iterator[dict[str, Path]]:
    """The builds this machine can make, by name: always ``plain``, and ``compiled`` where there is a C compiler."""
    with tempfile.TemporaryDirectory(prefix="oms-cores-") as folder:
        made = {PLAIN: _copy(Path(folder) / PLAIN)}
        compiled = _copy(Path(folder) / COMPILED)
        sources = sorted(str(path.relative_to(compiled)) for path in (compiled / "matching").glob("*.py"))
        done = subprocess.run(
            [sys.executable, "-m", "mypyc", *sources, str(LOOPS)],
            cwd=compiled,
            env={**os.environ, "MYPYC_OPT_LEVEL": "3", "MYPYPATH": "."},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(f"not compiled: {(done.stderr or done.stdout).strip().splitlines()[-1]}", file=sys.stderr)
        else:
            made[COMPILED] = compiled
        yield made


def _copy(folder: Path) -> Path:
    no_builds = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "matching", folder / "matching", ignore=no_builds)
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=no_builds)
    return folder


def measure(folder: Path, module: str, *arguments: str) -> dict[str, object]:
    """Run ``python -m module arguments`` in a build and return the JSON it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=_one_processor,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _one_processor() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
