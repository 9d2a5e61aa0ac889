"""Habits that keep the code small and its parts apart; each is checked because each was broken somewhere before."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.registry import EVENT_TYPES
from sql.postgres.queries import all_queries
from sql.process.crash_points import POINTS

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "consumers", "domain", "projections", "relay", "sql")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PLANNED = {"lag"}
"""Queries that only tests ask yet; whoever uses one takes it off this list."""
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 500
SQL = re.compile(
    r"\b(select\s.+\sfrom\s|insert\s+into\s|update\s+[\w.]+\s+set\s|delete\s+from\s|truncate\s+\w|"
    r"(create|drop|alter)\s+(table|schema|view|index|function)\s)",
    re.IGNORECASE | re.DOTALL,
)


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def mentioning(word: str, paths: Iterable[Path]) -> list[Path]:
    """To parse a file takes long; most need not be looked at."""
    return [path for path in paths if word in path.read_text("utf-8")]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def literals(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Strings that are not docstrings; of an f-string, its fixed parts."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node, "x".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | inner):
            yield node, node.value


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 30
    assert len(TESTS) > 20


def test_the_import_contracts_are_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)  # it would silence loggers that exist
    status = lint_imports(no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_functions_and_files_are_short() -> None:
    assert [path for path in MODULES if len(path.read_text("utf-8").splitlines()) > MAX_FILE_LINES] == []
    long = [
        where(path, function)
        for path in MODULES
        for function in functions(parsed(path))
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_sql_stands_in_sql_files() -> None:
    """Then each statement is prepared by a test, and none is put together from strings."""
    found = [where(path, node) for path in MODULES for node, text in literals(parsed(path)) if SQL.search(f"{text} ")]
    assert found == []


def test_the_sql_check_sees_what_it_should() -> None:
    code = ["'delete from doc'", "a = 'SELECT 1 FROM t'", "b = f'drop table {a}'", "c = 'select a file'"]
    tree = ast.parse("\n".join(code))
    assert [text for _, text in literals(tree) if SQL.search(f"{text} ")] == ["SELECT 1 FROM t", "drop table "]


def sleeps(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "sleep":
            yields = [ast.unparse(argument) for argument in node.args] == ["0"]
            if not yields:
                yield node


def test_tests_wait_for_something_and_never_sleep() -> None:
    """tests/support/eventually.py asks again and again instead; stand-ins that are slow on purpose live there too."""
    assert [where(path, call) for path in mentioning("sleep", TESTS) for call in sleeps(parsed(path))] == []


def test_no_package_marker_under_tests() -> None:
    """An __init__.py there makes pytest import tests/unit/domain as `domain`, which breaks every import."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_crash_point_is_passed_somewhere_and_every_passed_one_is_listed() -> None:
    passed = [point for path in MODULES for point in re.findall(r'\breached\("([^"]+)"\)', path.read_text("utf-8"))]
    assert sorted(passed) == sorted(POINTS)


def test_every_named_query_is_used() -> None:
    code = "".join(path.read_text("utf-8") for path in MODULES)
    names = {name.split(":")[1] for name in all_queries() if not name.startswith("projections/")}
    assert {name for name in names if f'"{name}"' not in code} == PLANNED


def test_every_event_belongs_to_one_aggregate_and_is_folded_by_it() -> None:
    """A new event needs an arm in evolve; mypy's assert_never says so too, but only to who runs mypy."""
    from typing import get_args

    from domain.account import identity
    from domain.connection import events as connection
    from domain.connection import variables
    from domain.erasure import dropping, forgetting
    from domain.failures import failures
    from domain.intake import events as intake
    from domain.job import job
    from domain.registration import events as registration
    from domain.run import events as run_events
    from domain.run import state as run
    from domain.zap import events as zap_events
    from domain.zap import ticks, zap
    from domain.zap.definition import Definition, Trigger
    from tests.support.examples import EXAMPLES

    aggregates = (
        zap_events.ZapEvent,
        run_events.RunEvent,
        intake.IntakeEvent,
        failures.FailuresEvent,
        job.JobEvent,
        identity.IdentityEvent,
        connection.ConnectionEvent,
        variables.VariableEvent,
        registration.RegistrationEvent,
    )
    unions = [
        *(set(get_args(union)) for union in aggregates),
        {ticks.TickEvent},
        {forgetting.RunForgotten, dropping.RunsDropped},
    ]
    assert sum(map(len, unions)) == len(set.union(*unions)) == len(EVENT_TYPES)
    assert set.union(*unions) == {kind.struct for kind in EVENT_TYPES}
    then = datetime(2026, 1, 1, tzinfo=UTC)
    existing_zap = zap.Zap(name="x", draft=Definition(Trigger("t")), trusted_since=then)
    requested = next(event for event in EXAMPLES if isinstance(event, run_events.RunRequested))
    asked = next(event for event in EXAMPLES if isinstance(event, job.JobRequested))
    for event in EXAMPLES:
        if isinstance(event, zap_events.ZapEvent):
            zap.evolve(existing_zap, event, then)
        elif isinstance(event, run_events.RunEvent):
            run.evolve(run.ActiveRun(requested=requested), event)
        elif isinstance(event, job.JobEvent):
            job.evolve(job.Job(requested=asked, total=1), event)


BACKENDS = re.compile(r"pg_stat_activity\b(?!.*where pid = )", re.DOTALL)


def test_tests_look_at_backends_of_their_own_database_only() -> None:
    """Tests share a server: a query without this freezes or kills the connections of a test beside it."""
    strange = [
        where(path, node)
        for path in mentioning("pg_stat_activity", set((ROOT / "tests").rglob("*.py")) - {Path(__file__)})
        for node, text in literals(parsed(path))
        if BACKENDS.search(text) and "datname = current_database()" not in text
    ]
    assert strange == []


FOLDERS = sorted({path.parent for path in MODULES})
MANY = {Path("projections"), Path("app/http/api"), Path("consumers/connectors")}
"""Folders in which each module is one of its kind: read models, routes, connectors."""
MAX_MODULES = 12
MAX_DEPTH = 3


def nouns(folder: Path) -> list[str]:
    """The names in a folder, without their plural."""
    stems = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
    stems += [path.name for path in folder.iterdir() if (path / "__init__.py").exists()]
    return sorted(stem.removesuffix("s") for stem in stems)


def test_a_folder_is_small_and_uses_no_noun_twice() -> None:
    for folder in FOLDERS:
        place = folder.relative_to(ROOT)
        modules = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(modules) <= MAX_MODULES or place in MANY, place
        assert len(place.parts) <= MAX_DEPTH, place
        assert len(set(nouns(folder))) == len(nouns(folder)), place


def test_a_folder_says_which_question_it_answers() -> None:
    docs = {folder: ast.get_docstring(parsed(folder / "__init__.py")) for folder in FOLDERS if folder.parent != ROOT}
    assert [folder for folder, doc in docs.items() if not (doc or "").split("\n")[0].endswith("?")] == []


def test_every_package_with_folders_has_an_order_of_them() -> None:
    """import-linter then asks for a place of each folder: the contracts are exhaustive."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    ordered = {name for contract in contracts if contract.get("exhaustive") for name in contract["containers"]}
    with_folders = {folder.parent.name for folder in FOLDERS if folder.parent.parent == ROOT}
    assert with_folders - {"projections"} == ordered  # there the engine is alone: read models stand on it


def test_the_picture_of_the_house_shows_every_room_with_its_question() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("## The house\n")[1].split("\n## ")[0]
    shown, package = {}, ""
    for indent, name, question in re.findall(r"^    ( *)([\w/]+)/ +(.+)$", picture, re.MULTILINE):
        package = package if indent else name
        shown[f"{package}/{name}" if indent else name] = question
    for room in sorted({path.parent for path in MODULES if path.name == "__init__.py"}):
        question = (ast.get_docstring(parsed(room / "__init__.py")) or "").splitlines()[0]
        assert shown.get(str(room.relative_to(ROOT))) == question


ANCHOR = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(\$)", re.DOTALL)
"""Group 1 is a `$` that is neither escaped nor one of a set of characters."""


def patterns(tree: ast.AST) -> Iterator[ast.expr]:
    """What is given to `re`, or as a `pattern`, unless it is about lines; and names for it."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re")), args=[pattern, *_]):
                if "MULTILINE" not in ast.unparse(node):
                    yield pattern
            case ast.keyword(arg="pattern", value=pattern):
                yield pattern
            case ast.Assign(value=ast.Constant(value=str() as text) as pattern) if text.startswith("^"):
                yield pattern
            case _:
                pass


def test_patterns_end_where_the_text_ends() -> None:
    r"""To Python `$` is also before a line break at the end, so that it lets one more in: `\Z` is what is meant."""
    lax = [
        where(path, pattern)
        for path in MODULES
        for pattern in patterns(parsed(path))
        for part in ast.walk(pattern)
        if isinstance(part, ast.Constant) and any(found[1] for found in ANCHOR.finditer(str(part.value)))
    ]
    assert lax == []
