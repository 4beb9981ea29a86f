"""Budgets and bans that no other tool checks; ``make check`` runs it.

Size: a file has at most 300 lines, a function at most 40 (docstring included,
decorators not); migrations and vendored files are exempt.  Silence: every
``noqa`` and ``type: ignore`` names its rule and a reason on its line.  Time:
clocks and sleeps stay behind the clock port.  Traces: no path of a developer's
machine and no host name of a package registry in any tracked file.
"""

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 300
FUNCTION_LINES = 40

#: Whatever set-up, tools and the running portal write; used where git cannot be asked.
GENERATED = {
    ".git", ".venv", "node_modules", "vendor", "var", "demo-box", "__pycache__", "test-results",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache",
}  # fmt: skip

#: Full names of what reads or spends real time.
CLOCKS = {
    "time.sleep",
    "time.time",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "django.utils.timezone.now",
    "django.utils.timezone.localtime",
    "django.utils.timezone.localdate",
    "django.db.models.functions.Now",
}
#: The clock port itself, and what lives outside the portal's own time.
MAY_READ_CLOCKS = (
    "portal/lib/clock.py",
    "portal/lib/db.py",
    "portal/demo/",
    "portal/cli/",
    "portal/bench/",
    "tests/",
    "tools/",
)

_SILENCERS = re.compile(
    r"#\s*(?:(?:ruff|flake8|mypy|pylint|fmt|nosec|noqa)\b|type:\s*ignore)", re.IGNORECASE
)
_WITH_REASON = re.compile(
    r"#\s*(?:noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|type:\s*ignore\[[\w, -]+\])"
    r"\s+(?:#|-|–|—)\s*\S.{7,}"
)
_FORMATTER = re.compile(r"#\s*fmt:\s*(?:skip|off|on)\b")
#: Spelt so that this file does not find itself.
_TRACES = re.compile(
    r"/wor[k]/|/roo[t]/|/hom[e]/\w+/|(?-i:/User[s]/)\w+/|/opt/(?:wheel[s]|pyp[i])|/tmp/h[f]\b|/tmp/bash_job[s]"
    r"|registry\.(?:npmjs|yarnpkg)\.(?:org|com)|(?:files\.)?pythonhosted\.org|\bpypi\.org"
    r"|deb\.debian\.org|nodesource\.com|npmmirror\.com",
    re.IGNORECASE,
)


def tracked_files(root: Path) -> list[Path]:
    """Return all files that are, or could be, committed; sorted, relative to ``root``."""
    found = _known_to_git(root)
    if found is None:
        found = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return sorted(
        path for path in set(found) if not GENERATED & set(path.parts) and (root / path).is_file()
    )


def _known_to_git(root: Path) -> list[Path] | None:
    """Return what git tracks or would add; None when ``root`` is no work tree or git is missing."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    argv = [git, "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
    asked = subprocess.run(argv, capture_output=True, text=True, check=False)
    if asked.returncode:
        return None
    return [Path(name) for name in asked.stdout.split("\0") if name]


def sizes(path: Path, text: str) -> Iterator[str]:
    """Yield what is too long in one Python or JavaScript file."""
    lines = len(text.splitlines())
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines, {FILE_LINES} are allowed"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield (
                    f"{path}:{node.lineno}: {node.name}() has {length} lines, "
                    f"{FUNCTION_LINES} are allowed"
                )


def silences(path: Path, text: str) -> Iterator[str]:
    """Yield the comments that switch a checker off without rule and reason."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or not _SILENCERS.search(token.string):
            continue
        if not _WITH_REASON.search(token.string) and not _FORMATTER.search(token.string):
            yield (
                f"{path}:{token.start[0]}: {token.string.strip()!r} needs its rule and, after it "
                "on the same line, ' - ' and a reason"
            )


def clocks(path: Path, text: str) -> Iterator[str]:
    """Yield every use of real time outside the places that may."""
    if path.as_posix().startswith(MAY_READ_CLOCKS):
        return
    tree = ast.parse(text)
    names = _imported_names(tree)
    for node in ast.walk(tree):
        used = _full_name(node, names)
        if used in CLOCKS:
            yield f"{path}:{node.lineno}: {used} is banned here; use portal.lib.clock"  # type: ignore[attr-defined]  # _full_name only names nodes with a line
        if isinstance(node, ast.keyword) and node.arg in {"auto_now", "auto_now_add"}:
            yield f"{path}:{node.lineno}: {node.arg} is banned; pass the time in"


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported local name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _full_name(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return the dotted name that ``node`` reads, through imports and their aliases."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _full_name(node.value, names)
        return f"{base}.{node.attr}" if base else None
    return None


def traces(path: Path, text: str) -> Iterator[str]:
    """Yield the lines that tell where something was built or fetched."""
    for number, line in enumerate(text.splitlines(), 1):
        match = _TRACES.search(line)
        if match:
            yield f"{path}:{number}: {match[0]!r} names a developer's machine or a package registry"


def findings(root: Path) -> list[str]:
    """Return every breach in the tree at ``root``, one line each."""
    found: list[str] = []
    for path in tracked_files(root):
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures hold neither code nor paths
        found.extend(traces(path, text))
        if "migrations" in path.parts or path.suffix not in {".py", ".js", ".mjs"}:
            continue
        found.extend(sizes(path, text))
        if path.suffix == ".py":
            found.extend(silences(path, text))
            found.extend(clocks(path, text))
    return found


if __name__ == "__main__":
    breaches = findings(Path(__file__).resolve().parent.parent)
    sys.stdout.writelines(f"{line}\n" for line in breaches or ["budgets: all kept"])
    sys.exit(bool(breaches))
