"""The build: one typed source of the core, run compiled where a C compiler works and as plain Python where none does.

Only this file and the tests know which of the two runs; no module asks. Called by pip (a wheel) and by the Makefile:

    pip wheel .                   compiled, for this machine's kind and Python; plain, for any, where it cannot be compiled
    python setup.py why-plain     says why the core cannot be compiled here; nothing if it can
    python setup.py compile       compiles into the checkout, beside the sources, unless what is there is current
    python setup.py plain         removes what was compiled into the checkout

OMS_PLAIN=1 asks for plain Python on a machine that could compile. setuptools and mypy are imported only where they are
needed: the other commands run with nothing installed.

Compiled files hide the sources beside them, so old ones must never survive: they are removed before anything else, and
``matching/.compiled`` records what those that are there were made from (contents; times lie after a checkout or a restore).
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CORE = ROOT / "matching"
RECORD = CORE / ".compiled"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"

# All modules of the core are in one library, so that calls between them are plain calls in C: `matching__mypyc` beside the
# package, the only place where mypyc gives the modules their right `__file__`. Each has a tiny extension of its own name
# beside its source, which asks the library for the module.
LIBRARY = "matching"

# Templates and static files stand beside the packages in a checkout; a wheel carries them inside the project's package.
ASSETS = {"oms_project.static": "static", "oms_project.templates": "templates"}

# One line that needs the compiler, the linker and Python's headers.
PROBE = "#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n"


def sources() -> list[Path]:
    """What is compiled. Not the package itself: it holds nothing but words, and is imported before everything else."""
    return sorted(path for path in CORE.rglob("*.py") if path.name != "__init__.py")


def plain_wanted() -> bool:
    """Whether OMS_PLAIN asks for plain Python; exits on a word it does not know."""
    word = os.environ.get("OMS_PLAIN", "").strip().lower()
    if word in ("", "0", "false", "no", "off"):
        return False
    if word in ("1", "true", "yes", "on"):
        return True
    sys.exit(f"OMS_PLAIN must be on or off, not {word!r}.")


def why_plain() -> str:
    """Why the core cannot be compiled here, in a few words; empty if it can, which is tried."""
    if plain_wanted():
        return "OMS_PLAIN is set"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} is not CPython"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "")
    if not compiler:
        return "no C compiler"
    include = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    with tempfile.TemporaryDirectory(prefix="oms-probe-") as scratch:
        (source := Path(scratch, "probe.c")).write_text(PROBE)
        command = [*compiler, *(f"-I{path}" for path in include), "-shared", "-fPIC", str(source), "-o", f"{source}.so"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return f"no C compiler ({compiler[0]} does not run)"
    if done.returncode == 0:
        return ""
    complaints = [line for line in done.stderr.splitlines() if "error" in line] or ["it fails"]
    return f"no working C compiler ({compiler[0]}: {complaints[0].strip()})"


# In the checkout


def fingerprint() -> str:
    """Everything compiled files depend on, as one number: the sources, how they are compiled, and for which Python."""
    digest = hashlib.sha256(f"{sys.version} {SUFFIX}".encode())
    for path in (*sources(), ROOT / "setup.py", ROOT / "requirements-build.lock"):
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def compiled_files() -> list[Path]:
    """Where the compiled core is in the checkout."""
    return [ROOT / f"{LIBRARY}__mypyc{SUFFIX}", *(path.with_suffix(SUFFIX) for path in sources())]


def left_by_compiling() -> list[Path]:
    """What any compilation has left in the checkout, for any Python, finished or not."""
    names = ("*.so", "*.so.new")
    return [path for name in names for path in (*CORE.rglob(name), *ROOT.glob(f"{LIBRARY}__mypyc{name}"))]


def is_current() -> bool:
    """Whether the checkout has the core compiled from exactly the sources it has."""
    recorded = RECORD.read_text() if RECORD.is_file() else ""
    return recorded == fingerprint() and all(path.is_file() for path in compiled_files())


def remove_compiled() -> None:
    """Leave only the sources: whatever is left would be imported in their place."""
    RECORD.unlink(missing_ok=True)
    for path in left_by_compiling():
        path.unlink()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One at a time (`make run` in one terminal, `make test` in another): the second finds the work of the first."""
    directory = os.open(CORE, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def compile_in_place() -> None:
    """Compile into the checkout."""
    made_from = fingerprint()
    remove_compiled()
    with tempfile.TemporaryDirectory(prefix="oms-core-") as scratch:
        command = [sys.executable, str(ROOT / "setup.py"), "--quiet", "build_ext", "--build-lib", scratch]
        if subprocess.run([*command, "--build-temp", scratch], cwd=ROOT).returncode:
            sys.exit("The core does not compile (see above). OMS_PLAIN=1 runs it as plain Python.")
        # A compiled module beside one that is not would crash: all are put in place at once, as nearly as can be.
        drafts = [path.with_name(f"{path.name}.new") for path in compiled_files()]
        for path, draft in zip(compiled_files(), drafts, strict=True):
            shutil.copyfile(scratch / path.relative_to(ROOT), draft)
        for draft in drafts:
            draft.rename(draft.with_suffix(""))
    RECORD.write_text(made_from)


def bring_up_to_date() -> None:
    """Leave the checkout compiled from the sources it has, or plain; one line says which."""
    with alone():
        if is_current() and not plain_wanted():
            print("the core is compiled")
        elif problem := why_plain():
            remove_compiled()
            print(f"the core runs as plain Python: {problem}")
        else:
            print("compiling the core ...", flush=True)
            compile_in_place()
            print("the core is compiled")


# For pip


def extensions(scratch: str) -> list:
    """What setuptools is to compile: the core, translated to C by mypyc into ``scratch``."""
    from mypyc.build import mypycify

    # Without configuration: the linter has its strict say elsewhere, and a newer mypy may be stricter than today's.
    options = ["--config-file=", f"--cache-dir={os.devnull}"]
    made = mypycify(
        [*options, *(str(path.relative_to(ROOT)) for path in sources())],
        opt_level="3",
        debug_level="0",  # a quarter less time; tracebacks have Python's lines all the same
        group_name=LIBRARY,
        target_dir=scratch,
    )
    for extension in made:
        # mypyc asks for -Werror: a newer compiler's new warning must not stop an installation.
        extension.extra_compile_args.append("-Wno-error")
    return made


def build() -> None:
    """Answer setuptools. It works in a directory of this run's own: no file of an earlier build gets into a wheel."""
    from setuptools import find_packages, setup

    scratch = tempfile.mkdtemp(prefix="oms-build-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    wanted = []
    if {"build", "build_ext", "bdist_wheel"}.intersection(sys.argv):  # and not when only the metadata are asked for
        problem = why_plain()
        if problem:
            print(f"{problem}: the core stays plain Python")
        else:
            wanted = extensions(scratch)
    setup(
        packages=[*find_packages(include=["matching*", "orders*", "oms_project*"]), *ASSETS],
        package_dir=ASSETS,
        package_data={package: ["**/*"] for package in ASSETS},
        ext_modules=wanted,
        options={"build": {"build_base": scratch}, "egg_info": {"egg_base": scratch}},
    )


def main() -> None:
    match sys.argv[1:]:
        case ["why-plain"]:
            print(why_plain())
        case ["compile"]:
            bring_up_to_date()
        case ["plain"]:
            with alone():
                remove_compiled()
        case _:
            build()


if __name__ == "__main__":
    main()
