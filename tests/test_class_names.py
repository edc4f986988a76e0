"""One word, one meaning: no two public classes of the product share a name."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("corpus", "annotators", "filters", "trainers", "evaluators", "onethinker", "benchmarks")
# What every file of a plug-in folder has, under one name, because it is found by it.
PLUG_IN_NAMES = {"Options"}


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in PLUG_IN_NAMES:
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 100, "the classes were found"
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
