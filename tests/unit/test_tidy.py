"""The house rules that no linter knows."""

import ast
import importlib.metadata
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("bench", "clients", "protos/cohort", "service", "tools")
MODULE_LINES_MAX, FUNCTION_LINES_MAX, DOCSTRING_LINES_MAX = 300, 40, 10
# By `cohort`, by `python -m`, and by callers.
STARTED = {"service.cli.__main__", "bench.__main__", "bench.echo", "bench.reports.__main__", "cohort.client"}

# Spelled in parts, so that this file does not hold them.
REGISTRY_HOSTS = (
    r"py" + r"pi\.org", r"python" + r"hosted\.org", r"npm" + r"js\.", r"crates" + r"\.io", r"proxy\.go" + r"lang",
    r"repo1?\.mav" + r"en", r"deb\.deb" + r"ian", r"docker" + r"\.io", r"index" + r"-url", r"find-" + r"links",
)  # fmt: skip
FOREIGN_WORDS = (
    r"/wo" + r"rk\b", r"work" + r"place", r"sub" + r"agent", r"\bAI " + r"agent", r"clau" + r"de", r"anthr" + r"opic",
    r"\b(this|later|next|another) iss" + r"ue\b", r"\biss" + r"ue [A-Z0-9]\b", r"\b(this|later|next) sess" + r"ion",
    r"TO" + r"DO\b", r"FIX" + r"ME\b", r"\bX" + r"XX\b",
)  # fmt: skip


def checkout() -> list[str]:
    """The paths of the repository's files, added yet or not, without what is ignored; none where git does not say."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return []
    return sorted(set(listed.stdout.decode().splitlines()))


FILES = checkout()
pytestmark = pytest.mark.skipif(not FILES, reason="git does not say what belongs to this folder")


def tracked() -> list[Path]:
    """The files of the repository that are there."""
    return [file for path in FILES if (file := ROOT / path).is_file()]


def python_below(*folders: str) -> list[Path]:
    """Our Python below some folders of the repository; not what is generated."""
    below = tuple(f"{ROOT / folder}/" for folder in folders)
    return [file for file in tracked() if str(file).startswith(below) and is_python(file) and "_pb2" not in file.name]


def is_python(file: Path) -> bool:
    if file.suffix:
        return file.suffix == ".py"
    with file.open("rb") as content:
        return b"python" in content.readline()


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def module_of(file: Path) -> str:
    """The name that a file is imported by."""
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    if parts[0] == "protos":
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def code_lines(tree: ast.AST, lines: list[str]) -> int:
    """The lines of a definition without its docstring, comments and empty lines."""
    assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    counted = set(range(tree.lineno, (tree.end_lineno or tree.lineno) + 1))
    first = tree.body[0]
    if ast.get_docstring(tree, clean=False) is not None:
        counted -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return sum(bool(text := lines[number - 1].strip()) and not text.startswith("#") for number in counted)


def imports(file: Path) -> set[str]:
    """The names that a module imports, be they modules or what they hold."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def strings(file: Path) -> set[str]:
    """The strings in a module: what is an extra is imported by its name, where it is asked for."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def found(patterns: tuple[str, ...]) -> Iterator[str]:
    """Where text of the repository matches a pattern: `file:line: text`."""
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    for file in tracked():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        yield from (
            f"{name_of(file)}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(lines, start=1)
            if pattern.search(line)
        )


def test_a_module_fits_in_the_head() -> None:
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in python_below(*SOURCES, "tests")}

    assert {name: length for name, length in lengths.items() if length > MODULE_LINES_MAX} == {}


def test_a_function_fits_on_the_screen() -> None:
    lengths = {}
    for file in python_below(*SOURCES):
        source = file.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{name_of(file)}:{node.lineno} {node.name}"] = code_lines(node, source.splitlines())

    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


def test_a_module_says_its_one_job() -> None:
    sources = {name_of(file): file.read_text() for file in python_below(*SOURCES)}
    docstrings = {name: ast.get_docstring(ast.parse(source)) for name, source in sources.items() if source.strip()}

    assert [name for name, docstring in docstrings.items() if docstring is None] == []
    assert [name for name, text in docstrings.items() if len((text or "").splitlines()) > DOCSTRING_LINES_MAX] == []


def test_only_the_config_reads_the_environment() -> None:
    readers = {name_of(file) for file in python_below("clients", "service") if "os.environ" in file.read_text()}

    assert readers == {"service/config/loading.py"}


def test_every_module_is_reached_from_what_is_started() -> None:
    files = {module_of(file): file for file in python_below("bench", "clients", "protos/cohort", "service")}
    reached: set[str] = set()
    left = set(STARTED)
    while left:
        module = left.pop()
        reached.add(module)
        named = imports(files[module]) | strings(files[module]) | {module.rpartition(".")[0]}
        left |= named & set(files) - reached

    assert set(files) - reached == set()


def test_no_file_names_a_package_registry() -> None:
    assert list(found(REGISTRY_HOSTS)) == []


def test_the_project_speaks_of_itself_alone() -> None:
    assert list(found(FOREIGN_WORDS)) == []


def requirements(*, development: bool) -> set[str]:
    """The distributions that pyproject.toml asks for."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = pyproject["project"], pyproject["dependency-groups"] if development else {}
    lists = [project["dependencies"], *project["optional-dependencies"].values(), *groups.values()]
    return {re.split(r"[<>=\[]", each)[0] for one in lists for each in one if isinstance(each, str)}


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    explained = {name for cell in first_cells for name in re.findall(r"`([a-z0-9-]+)`", cell)}

    assert requirements(development=True) - {"cohort-protos"} == explained


def test_what_is_imported_is_asked_for_by_name() -> None:
    distributions = importlib.metadata.packages_distributions()
    roots = {name.partition(".")[0] for file in python_below("clients", "service") for name in imports(file)}
    # Several distributions share a name such as `google`: which one is meant cannot be told from it.
    homes = [distributions[root] for root in roots if len(distributions.get(root, [])) == 1]
    foreign = {home[0].lower().replace("_", "-") for home in homes}

    assert foreign - requirements(development=False) - {"cohort"} == set()
