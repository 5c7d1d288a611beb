"""What the library must not do: import Streamlit, print, or load TensorFlow early."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import agegender

PACKAGE = Path(agegender.__file__).parent

MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Return the top-level packages that the import statements below a node name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def imported_at_once(tree: ast.Module) -> set[str]:
    """Return what is imported as soon as the module is."""
    return set().union(
        *(
            imported(node)
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom | ast.Try)
        )
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_keeps_the_boundaries(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert "streamlit" not in imported(tree)
    assert not imported_at_once(tree) & {"tensorflow", "keras"}
    is_command = path.parent.name == "commands" or path.name == "cli.py"
    prints = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert is_command or not prints
