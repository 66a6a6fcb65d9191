"""Mutation tests of a sample of modules: `python -m benchmarks.mutation`, the last step of `make soak`.

cosmic-ray changes one operator, number or condition at a time; the tests of that module must fail. What survives is
printed, for a reader to decide whether a test is missing or the change means nothing.
"""

import argparse
import difflib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
TESTS_OF = {
    "domain/money.py": ("tests/domain/test_money.py",),
    "features/reading/validate.py": (
        "tests/features/reading/test_validate.py",
        "tests/features/reading/test_tables.py",
    ),
    "risk/engine/levels.py": ("tests/risk/engine/test_levels.py", "tests/risk/engine/test_next_change.py"),
    "risk/engine/totals.py": ("tests/risk/engine/test_totals.py", "tests/risk/engine/test_program.py"),
    "store/levels/leases.py": ("tests/store/levels/test_leases.py", "tests/store/levels/test_assessment_queue.py"),
    "usecases/levels/overrides.py": ("tests/usecases/levels/test_overrides.py",),
}
"""Each module of the sample, and the tests that must notice when it is wrong."""
TIME_LIMIT_SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """One change to a module: at the place numbered *occurrence* of those that *operator* could change."""

    module: str
    operator: str
    occurrence: int

    def applied(self, source: str) -> str:
        """Give the module's source with the change."""
        return str(mutate_code(source, get_operator(self.operator)(), self.occurrence))

    def lines(self, source: str) -> list[str]:
        """Give the lines that it changes, before and after."""
        changes = difflib.unified_diff(source.splitlines(), self.applied(source).splitlines(), lineterm="", n=0)
        return [line for line in changes if not line.startswith(("---", "+++"))]


def mutants_of(module: str, source: str) -> list[Mutant]:
    """List every change that cosmic-ray's operators could make; annotations are left alone, since nothing runs them."""
    nodes = list(ast_nodes(get_ast(source)))
    return [
        Mutant(module, name, occurrence)
        for name in operator_names()
        if not get_operator(name).arguments() and "BitOr" not in name  # of types mostly: `int | None`
        for occurrence in range(sum(1 for node in nodes for _ in get_operator(name)().mutation_positions(node)))
    ]


def is_killed(tree: Path, mutant: Mutant, tests: Sequence[str]) -> bool:
    """Tell whether the tests fail with the change; *tree* is as it was afterwards."""
    path = tree / mutant.module
    source = path.read_text()
    try:
        path.write_text(mutant.applied(source))
        return not tests_pass(tree, tests)
    finally:
        path.write_text(source)


def tests_pass(tree: Path, tests: Sequence[str]) -> bool:
    """Run tests on the package in *tree*; what does not end in time has failed."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=TIME_LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def copy_checkout(tree: Path) -> None:
    """Copy what git knows of the checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)


def run_sample(tree: Path, modules: Sequence[str], most: int, seed: int) -> None:
    """Try at most *most* mutants of each module; print how many the tests kill, and those that survive."""
    tried = killed = 0
    for module in modules:
        tests = TESTS_OF[module]
        if not tests_pass(tree, tests):
            sys.exit(f"{' '.join(tests)}: fails without any change")
        source = (tree / module).read_text()
        every = mutants_of(module, source)
        sample = random.Random(seed).sample(every, min(most, len(every)))
        survivors = [mutant for mutant in sample if not is_killed(tree, mutant, tests)]
        print(f"{module}: {len(sample) - len(survivors)} of {len(sample)} killed, of {len(every)} possible", flush=True)
        for mutant in survivors:
            print("  survived:", *mutant.lines(source), sep="\n    ", flush=True)
        tried += len(sample)
        killed += len(sample) - len(survivors)
    print(f"{killed} of {tried} killed: {100 * killed / tried:.0f} %")


def main() -> None:
    """Mutate a copy of the checkout; the checkout itself stays as it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", action="append", choices=TESTS_OF, help="instead of the whole sample; repeatable")
    parser.add_argument("--mutants", type=int, default=20, help="of each module, at most")
    parser.add_argument("--seed", type=int, default=5, help="of the sample of mutants")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_checkout(tree)
        run_sample(tree, arguments.module or list(TESTS_OF), arguments.mutants, arguments.seed)


if __name__ == "__main__":
    main()
