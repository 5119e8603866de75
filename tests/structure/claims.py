"""Reads docs/CLAIMS.md and finds the tests it names. Used by test_claims.py and by tests/run."""

import ast
import re
from collections import namedtuple

Claim = namedtuple("Claim", "text test line")

HEADER = ["claim", "test"]


def cells(line):
    """The cells of a table's line; a bar inside a cell is written \\|."""
    parts = re.split(r"(?<!\\)\|", line.strip())
    return [part.strip().replace("\\|", "|") for part in parts[1:-1]]


def read(path):
    """The claims, one per line of the table. Raises ValueError where a line is no claim."""
    claims, inside = [], False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.startswith("|"):
            inside = False
            continue
        row = cells(line)
        if [cell.lower() for cell in row] == HEADER:
            inside = True
        elif not inside or len(row) != 2:
            raise ValueError(f"{path.name}:{number}: write it as | claim | path::name |")
        elif not all(set(cell) <= set("-: ") for cell in row):
            test = row[1].strip("`")
            if not row[0] or "::" not in test:
                raise ValueError(f"{path.name}:{number}: name the test as path::name")
            claims.append(Claim(row[0], test, number))
    return claims


def c_tests(path):
    """The functions that a cmocka program registers, by name or by a file's short macro T(name)."""
    if not path.is_file():
        return []
    return re.findall(r"\b(?:cmocka_unit_test\w*|T)\(\s*(\w+)", path.read_text())


def python_tests(path):
    """The tests of a pytest file: `name`, or `Class::name`."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}::{child.name}" for child in node.body
                      if isinstance(child, ast.FunctionDef) and child.name.startswith("test")]
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            found.append(node.name)
    return found


def exists(root, test):
    """Whether `path::name` (or `path::name[parameters]`) is a test of this tree."""
    path, _, name = test.partition("::")
    if not (root / path).is_file():
        return False
    known = python_tests(root / path) if path.endswith(".py") else c_tests(root / path)
    return name.split("[")[0] in known
