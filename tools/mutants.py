"""Would a test notice?  Every condition of the pure core is negated in turn.

    python -m tools.mutants                  all of them; report on stdout, 1 if too many survive
    python -m tools.mutants --only vms/domain/turns.py --show
    python -m tools.mutants --sample 20 --seed 7

A mutant negates one condition (if, while, conditional expression, filter of a
comprehension, a returned truth) or takes one operand out of an ``and`` or ``or``.  It is
caught when a test of ``tests/domain`` fails, a scenario of the pure depth ends with another
log or against its expectation, or nothing ends within ``PATIENCE_S``.  Only the code of the
one function is exchanged, in a process forked for it: nothing is written.
"""

import argparse
import ast
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import CodeType, FunctionType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PURE = ("hosts/domain", "vms/domain", "fencing/domain", "portal/lib/ha", "portal/notify/domain")
#: Share of all mutants, in percent, that must be caught.
CAUGHT_PCT = 95
PATIENCE_S = 90


@dataclass(frozen=True, slots=True)
class Site:
    """One condition that can be wrong; ``number`` counts within its file."""

    path: str
    number: int
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.kind}: {self.text}"


class _Mutator(ast.NodeTransformer):
    """Counts the conditions of a module, and changes the one numbered ``wanted``."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted, self.count = wanted, 0
        self.found: list[tuple[int, str, str]] = []  # line, kind, text
        self.inside: list[str] = []
        self.changed_in = ""

    def _change(self, node: ast.expr, kind: str, changed: Callable[[], ast.expr]) -> ast.expr:
        mine, self.count = self.count, self.count + 1
        self.found.append((node.lineno, kind, ast.unparse(node)))
        if mine != self.wanted:
            return node
        self.changed_in = ".".join(self.inside)
        return ast.copy_location(changed(), node)

    def _negated(self, node: ast.expr, kind: str) -> ast.expr:
        return self._change(node, kind, lambda: ast.UnaryOp(ast.Not(), node))

    def _scope(self, node: Any) -> Any:
        self.inside.append(node.name)
        self.generic_visit(node)
        self.inside.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._scope(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return self._scope(node)

    def _test(self, node: Any) -> Any:
        self.generic_visit(node)
        if self.inside:
            node.test = self._negated(node.test, type(node).__name__.lower())
        return node

    def visit_If(self, node: ast.If) -> Any:
        return self._test(node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self._test(node)

    def visit_While(self, node: ast.While) -> Any:
        return self._test(node)

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        self.generic_visit(node)
        if self.inside:
            node.ifs = [self._negated(item, "filter") for item in node.ifs]
        return node

    def visit_Return(self, node: ast.Return) -> Any:
        self.generic_visit(node)
        truths = (ast.Compare, ast.BoolOp, ast.UnaryOp)
        quantified = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in {
            "any", "all",
        }  # fmt: skip
        if node.value is not None and (isinstance(node.value, truths) or quantified):
            node.value = self._negated(node.value, "return")
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        neutral = isinstance(node.op, ast.And)
        if self.inside:
            node.values = [
                self._change(item, "operand", lambda: ast.Constant(neutral)) for item in node.values
            ]
        return node


def sites(path: str) -> list[Site]:
    """Return every condition inside a function of a file."""
    mutator = _Mutator()
    mutator.visit(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    return [Site(path, number, *what) for number, what in enumerate(mutator.found)]


def all_sites() -> list[Site]:
    """Return the conditions of the whole pure core."""
    files = sorted(file for folder in PURE for file in (ROOT / folder).rglob("*.py"))
    return [site for file in files for site in sites(str(file.relative_to(ROOT)))]


def exchange(site: Site) -> None:
    """Give the function around ``site`` its mutated code, in this process."""
    source = (ROOT / site.path).read_text(encoding="utf-8")
    mutator = _Mutator(site.number)
    tree = ast.fix_missing_locations(mutator.visit(ast.parse(source)))
    code = compile(tree, str(ROOT / site.path), "exec")
    name = site.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    function, outermost = _function(sys.modules[name], mutator.changed_in)
    function.__code__ = next(item for item in _codes(code) if item.co_qualname == outermost)


def _function(module: ModuleType, qualname: str) -> tuple[FunctionType, str]:
    """Return the outermost function on the way to ``qualname``, and its own name."""
    here: Any = module
    way: list[str] = []
    for part in qualname.split("."):
        here = vars(here)[part]
        way.append(part)
        here = here.fget if isinstance(here, property) else getattr(here, "__func__", here)
        here = getattr(here, "__wrapped__", here)
        if isinstance(here, FunctionType):
            return here, ".".join(way)
    raise LookupError(f"{qualname} is no function of {module.__name__}")


def _codes(code: CodeType) -> Iterator[CodeType]:
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield item
            yield from _codes(item)


def survives(site: Site) -> bool:
    """Run everything in a forked process with the mutant in place; whether nobody noticed."""
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_S)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        noticed = True
        try:
            exchange(site)
            noticed = _tests_fail() or _scenarios_differ()
        finally:
            os._exit(int(noticed))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _tests_fail() -> bool:
    import pytest  # noqa: PLC0415 - only once the settings are known

    usual = ["-x", "-q", "-p", "tests.environment", "-p", "no:xdist", "-p", "no:randomly"]
    return pytest.main([*usual, "-p", "no:schemathesis", str(ROOT / "tests/domain")]) != 0


def _scenarios_differ() -> bool:
    from portal.sim.report import unmet  # noqa: PLC0415 - only once Django is set up
    from portal.sim.scenario import load  # noqa: PLC0415 - as above
    from portal.sim.simulation import simulate  # noqa: PLC0415 - as above

    for file in sorted((ROOT / "tests/scenarios").glob("*/scenario.yaml")):
        outcome = simulate(load(file.parent), "pure")
        golden = (file.parent / "log.expect").read_text(encoding="utf-8").splitlines()
        if list(outcome.log) != golden or outcome.violations or unmet(outcome):
            return True
    return False


def prepare() -> None:
    """Load the whole core once, for all the processes to come."""
    sys.path.insert(0, str(ROOT))
    import tests.environment  # noqa: F401, PLC0415 - before the settings are read

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django  # noqa: PLC0415 - as above

    django.setup()
    import portal.sim.simulation  # noqa: F401, PLC0415 - loads the core

    for folder in PURE:
        for file in (ROOT / folder).rglob("*.py"):
            name = str(file.relative_to(ROOT)).removesuffix(".py").removesuffix("/__init__")
            __import__(name.replace("/", "."))


def _chosen(args: argparse.Namespace) -> list[Site]:
    found = [site for site in all_sites() if not args.only or site.path in args.only]
    if args.sample:
        random = Random(args.seed)  # noqa: S311 - repeatable luck, no secret
        found = random.sample(found, min(args.sample, len(found)))
    return found[args.part :: args.parts]


def main(argv: Sequence[str] | None = None) -> int:
    """Try the chosen mutants; print the survivors and a last line with the share caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--only", action="append", default=[], metavar="FILE")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="so many by lot")
    parser.add_argument("--seed", type=int, default=1, help="of the lot (1)")
    parser.add_argument("--part", type=int, default=0, help="with --parts: which one, from 0")
    parser.add_argument("--parts", type=int, default=1, help="try every PARTS-th only")
    parser.add_argument("--show", action="store_true", help="name the caught ones as well")
    args = parser.parse_args(argv)
    prepare()
    chosen, alive = _chosen(args), 0
    for site in chosen:
        lives = survives(site)
        alive += lives
        if lives or args.show:
            _tell(site=str(site), caught=not lives)
    share = 100 * (1 - alive / len(chosen)) if chosen else 100.0
    _tell(mutants=len(chosen), survived=alive, caught_pct=round(share, 1))
    return int(share < CAUGHT_PCT)


def _tell(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


if __name__ == "__main__":
    sys.exit(main())
