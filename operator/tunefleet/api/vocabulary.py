"""Enumerations whose members have docstrings: the docstrings as data, which Python itself drops."""

import ast
import inspect
from enum import StrEnum
from typing import NamedTuple


class Word(NamedTuple):
    """A member of a documented enumeration."""

    group: str
    """The comment above the members, without its colon; empty before the first."""
    value: str
    meaning: str


def words(vocabulary: type[StrEnum]) -> tuple[Word, ...]:
    """The members of an enumeration with their docstrings. Raises ValueError for a member without one."""
    source = inspect.getsource(vocabulary)
    lines = source.splitlines()
    (definition_,) = ast.parse(source).body
    assert isinstance(definition_, ast.ClassDef)
    found = []
    for statement, following in zip(definition_.body, [*definition_.body[1:], None], strict=True):
        if isinstance(statement, ast.Assign):
            found.append(Word(_group(lines[: statement.lineno]), _value(statement), _docstring(statement, following)))
    return tuple(found)


def _group(lines_above: list[str]) -> str:
    comments = [line.strip() for line in lines_above if line.strip().startswith("# ")]
    return comments[-1].removeprefix("# ").removesuffix(":") if comments else ""


def _value(statement: ast.Assign) -> str:
    assert isinstance(statement.value, ast.Constant)
    return str(statement.value.value)


def _docstring(statement: ast.Assign, following: ast.stmt | None) -> str:
    match following:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
        case _:
            raise ValueError(f"{ast.unparse(statement)} has no docstring")
