"""The build: what is compiled, from which sources, where no compiler works; what a wheel carries; what is pinned."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

import oms_project
from tests.conftest import missing
from tests.support import core
from tests.support.core import build
from tests.support.services import ServiceMissing

ROOT = build.ROOT
BUILD_LOCK = ROOT / "requirements-build.lock"


def build_tools() -> dict[str, str]:
    """What requirements-build.lock pins: name to version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", BUILD_LOCK.read_text(), re.MULTILINE))


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@pytest.fixture(scope="module")
def tools() -> None:
    """setuptools and mypy as pinned: `make install` leaves them out where nothing can be compiled."""
    if any(installed(name) != version for name, version in build_tools().items()):
        missing(ServiceMissing("what requirements-build.lock pins is not installed"))


@pytest.fixture(scope="module")
def compiler(tools: None) -> None:
    if problem := build.why_plain():
        missing(ServiceMissing(problem))


# What may be set for the tests themselves, and decides what a build or an import finds.
UNWANTED = ("CC", "PYTHONPATH", "PYTHONSAFEPATH")


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """``command`` of this Python with the machine's environment and ``environment``; output as text, checked by the caller."""
    surroundings = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    surroundings |= environment
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=surroundings, capture_output=True, text=True, timeout=300
    )


# The core under test


def test_the_core_under_test_is_compiled_whole_from_its_sources():
    if core.kind() == "plain":
        missing(ServiceMissing("the core is not compiled here"))
    assert build.is_current()
    assert set(build.left_by_compiling()) == set(build.compiled_files())
    for path in build.sources():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert importlib.util.find_spec(name).origin == str(path.with_suffix(build.SUFFIX))


@pytest.mark.parametrize(
    ("kind", "current", "asked", "message"),
    [
        ("compiled", True, None, None),
        ("compiled", True, "compiled", None),
        ("plain", False, None, None),
        ("plain", False, "plain", None),
        ("compiled", False, None, "has changed since it was compiled"),
        ("compiled", True, "plain", "is compiled, not plain"),
        ("plain", False, "compiled", "is plain, not compiled"),
    ],
)
def test_a_run_against_the_wrong_core_does_not_start(monkeypatch, kind, current, asked, message):
    monkeypatch.setattr(core, "kind", lambda: kind)
    monkeypatch.setattr(build, "is_current", lambda: current)
    config = SimpleNamespace(option=SimpleNamespace(core=asked))
    if message is None:
        core.pytest_configure(config)
    else:
        with pytest.raises(pytest.UsageError, match=message):
            core.pytest_configure(config)


ASKING = re.compile(
    r"mypyc|\.so\b|\.pyd\b|EXT_SUFFIX|EXTENSION_SUFFIXES|ExtensionFileLoader|OMS_PLAIN|\bis_?compiled", re.I
)


@pytest.mark.parametrize("room", ["matching", "orders", "oms_project"])
def test_only_the_build_knows_how_the_core_runs(room):
    for path in (ROOT / room).rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            # Names, attributes, imports and texts; comments may speak of it.
            words = [getattr(node, field, None) for field in ("id", "attr", "name", "module", "value")]
            for word in words:
                assert not (isinstance(word, str) and ASKING.search(word)), f"{path}: line {node.lineno}: {word}"


# A checkout's life, on a small core that compiles in seconds

SMALL = {
    "__init__.py": '"""A small core."""\n',
    "values.py": '"""Values."""\n\nANSWER = 1\n',
    "engine.py": '"""Engine."""\n\nfrom matching.values import ANSWER\n\n\ndef answer() -> int:\n    return ANSWER\n',
}
ASK = "import matching.engine as engine; print(engine.answer(), engine.__file__.endswith('.so'))"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "matching").mkdir()
    for name, text in SMALL.items():
        (tmp_path / "matching" / name).write_text(text)
    for name in ("setup.py", "pyproject.toml", "requirements-build.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def say(checkout: Path, *command: str, **environment: str) -> str:
    """What a successful ``setup.py`` command prints."""
    done = run("setup.py", *command, cwd=checkout, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def ask(checkout: Path) -> tuple[str, str]:
    """The small core's answer, and whether compiled code gave it."""
    done = run("-B", "-c", ASK, cwd=checkout)
    assert done.returncode == 0, done.stderr
    return tuple(done.stdout.split())


def test_compiled_files_follow_their_sources(checkout, compiler):
    assert ask(checkout) == ("1", "False")
    assert say(checkout, "why-plain") == ""
    assert say(checkout, "compile").splitlines() == ["compiling the core ...", "the core is compiled"]
    assert ask(checkout) == ("1", "True")
    assert say(checkout, "compile") == "the core is compiled"

    # Touched, the sources say the same; and a compiler that has gone changes nothing that is there.
    os.utime(checkout / "matching" / "values.py")
    assert say(checkout, "compile", CC="/nowhere/cc") == "the core is compiled"

    (checkout / "matching" / "engine.py").write_text(SMALL["engine.py"].replace("return ANSWER", "return ANSWER + 1"))
    (checkout / "matching" / "old.cpython-39.so").touch()
    assert say(checkout, "compile").startswith("compiling")
    assert ask(checkout) == ("2", "True")
    assert not (checkout / "matching" / "old.cpython-39.so").exists()

    # A lost file is a reason as good as a changed one. No source may become what cannot be compiled.
    (checkout / "matching" / f"values{build.SUFFIX}").unlink()
    (checkout / "matching" / "values.py").write_text('"""Values."""\n\nANSWER: int = "two"\n')
    failed = run("setup.py", "compile", cwd=checkout)
    assert failed.returncode == 1
    assert "OMS_PLAIN=1" in failed.stderr and "values.py:3: error" in failed.stdout
    assert not list(checkout.rglob("*.so*"))


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"CC": "/nowhere/cc"}, "no C compiler (/nowhere/cc does not run)"),
        ({"CC": "false"}, "no working C compiler (false: it fails)"),
        ({"OMS_PLAIN": "1"}, "OMS_PLAIN is set"),
    ],
)
def test_without_a_compiler_nothing_compiled_stays(checkout, environment, reason):
    names = (f"matching/engine{build.SUFFIX}", "matching/values.so.new", "matching/.compiled", "matching__mypyc.old.so")
    stale = [checkout / name for name in names]
    for path in stale:
        path.write_text("of an older source")
    assert say(checkout, "why-plain", **environment) == reason
    assert say(checkout, "compile", **environment) == f"the core runs as plain Python: {reason}"
    assert not [path for path in stale if path.exists()]
    assert ask(checkout) == ("1", "False")


def test_plain_removes_what_was_compiled(checkout):
    (checkout / "matching" / f"engine{build.SUFFIX}").touch()
    assert say(checkout, "plain") == ""
    assert ask(checkout) == ("1", "False")


def test_a_missing_header_is_named(checkout, compiler, monkeypatch):
    monkeypatch.setattr(build.sysconfig, "get_path", lambda name: str(checkout / "nowhere"))
    assert re.fullmatch(r"no working C compiler \(.*Python\.h.*\)", build.why_plain())


def test_oms_plain_is_on_or_off(checkout):
    assert say(checkout, "why-plain", OMS_PLAIN="yes") == "OMS_PLAIN is set"
    assert say(checkout, "why-plain", OMS_PLAIN="off", CC="/nowhere/cc") != "OMS_PLAIN is set"
    refused = run("setup.py", "compile", cwd=checkout, OMS_PLAIN="maybe")
    assert (refused.returncode, refused.stderr) == (1, "OMS_PLAIN must be on or off, not 'maybe'.\n")


# Wheels


def make_wheel(folder: Path, **environment: str) -> Path:
    before = set(ROOT.iterdir())
    command = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder))
    done = run(*command, str(ROOT), cwd=folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(ROOT.iterdir()) - before <= {ROOT / ".mypy_cache"}, "a build leaves nothing in the checkout"
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpacked(wheel: Path) -> Path:
    folder = wheel.parent / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def plain_wheel(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(tmp_path_factory.mktemp("plain"), OMS_PLAIN="1")


def carried() -> set[str]:
    """What a wheel has to carry, by its names in it."""
    code = [path for room in ("matching", "orders", "oms_project") for path in (ROOT / room).rglob("*.py")]
    names = {str(path.relative_to(ROOT)) for path in code}
    for folder in ("templates", "static"):
        names |= {f"oms_project/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*") if path.is_file()}
    return names


def test_the_plain_wheel_is_for_any_machine_and_carries_the_whole_service(plain_wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert plain_wheel.name == f"oms-{oms_project.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(plain_wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (place,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        facts = message_from_string(archive.read(place).decode())
    assert names == carried()
    assert facts["Name"] == project["name"] and facts["Version"] == oms_project.__version__
    assert facts["Requires-Python"] == project["requires-python"]
    assert facts["License-Expression"] == "MIT" and facts["License-File"] == "LICENSE"
    needed = {re.match(r"[\w-]+", text)[0] for text in facts.get_all("Requires-Dist") if "extra" not in text}
    assert needed == {re.match(r"[\w-]+", text)[0] for text in project["dependencies"]}


USE = """
import django
django.setup()
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.template.loader import get_template
call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
print(get_template("market.html").origin.name, finders.find("oms/main.js"), sep="\\n")
"""


def test_an_installed_wheel_serves_from_its_own_files(plain_wheel, tmp_path):
    place = unpacked(plain_wheel)
    surroundings = {"PYTHONPATH": str(place), "DJANGO_SETTINGS_MODULE": "oms_project.settings", "DATABASE_URL": ""}
    done = run("-c", USE, cwd=tmp_path, OMS_VAR_DIR=str(tmp_path / "var"), **surroundings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        str(place / "oms_project/templates/market.html"),
        str(place / "oms_project/static/oms/main.js"),
    ]
    assert (tmp_path / "var/oms.sqlite3").is_file()
    for directory in ("", "var"):
        refused = run("-c", USE, cwd=tmp_path, OMS_VAR_DIR=directory, **surroundings)
        assert "set OMS_VAR_DIR to its absolute path" in refused.stderr


# -S: without what is installed here, so without mypy too.
TRADE = """
import sys
sys.path.insert(0, sys.argv[1])
import matching.codec, matching.engine, matching.invariants
print(matching.engine.__file__)
matching.engine.Engine()
"""


@pytest.mark.slow
def test_the_compiled_wheel_is_for_this_machine_and_needs_nothing_to_run(compiler, tmp_path):
    wheel = make_wheel(tmp_path)
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert re.fullmatch(rf"oms-{re.escape(oms_project.__version__)}-{version}-{version}\w*-(?!any)\w+\.whl", wheel.name)
    place = unpacked(wheel)
    compiled = {path.relative_to(place) for path in place.rglob(f"*{build.SUFFIX}")}
    assert compiled == {path.relative_to(ROOT) for path in build.compiled_files()}
    assert carried() <= {str(path.relative_to(place)) for path in place.rglob("*")}
    done = run("-S", "-c", TRADE, str(place), cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, str(place / f"matching/engine{build.SUFFIX}")), done.stderr


# What it is built with


def test_the_build_is_pinned_and_agrees_with_development():
    lines = BUILD_LOCK.read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pinned = build_tools()
    assert {re.match(r"[\w-]+", requirement)[0] for requirement in requirements} <= pinned.keys()
    development = (ROOT / "requirements-dev.lock").read_text()
    for name, version in pinned.items():
        assert f"\n{name}==" not in development or f"\n{name}=={version} " in development
