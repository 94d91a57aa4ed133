"""The reference says every path, setting and error code that there is, and no other."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunefleet.gateway import errors, reference
from tunefleet.gateway.error_codes import ERROR_CODES
from tunefleet.gateway.errors import Refusal
from tunefleet.gateway.main import main
from tunefleet.gateway.routes import ENGINE_PATHS

ROOT = Path(__file__).parents[2]
PACKAGE = Path(errors.__file__).parent


def made_by_functions() -> Iterator[Refusal]:
    """What the functions of errors.py make of any arguments."""
    for function in vars(errors).values():
        if inspect.isfunction(function) and function.__annotations__.get("return") is Refusal:
            kinds = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
            if Refusal not in kinds:
                for text in ("head", "body"):
                    yield function(*(_example(kind, text) for kind in kinds))


def _example(kind: Any, text: str) -> Any:
    return {str: text, int: 1, float: 1.0}.get(kind, ())


def made_in_place() -> Iterator[tuple[int, str]]:
    """Status and code wherever else a Refusal is made; they must be written out there."""
    for path in PACKAGE.glob("*.py"):
        if path.name != "errors.py":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                    yield ast.literal_eval(node.args[0]), ast.literal_eval(node.args[2])


def test_every_error_code_is_explained() -> None:
    made = {(refusal.status, refusal.code) for refusal in made_by_functions()} | set(made_in_place())
    assert made == {(status, known.code) for known in ERROR_CODES for status in known.statuses}
    assert len({known.code for known in ERROR_CODES}) == len(ERROR_CODES)


def test_every_path_is_explained() -> None:
    assert tuple(reference.PATHS) == ENGINE_PATHS


def test_every_setting_is_there_with_its_variable() -> None:
    (text,) = reference.files().values()
    options = [option for option in main.params if option.expose_value and not getattr(option, "hidden", False)]
    assert len(options) > 10
    assert [o.name for o in options if f"`TUNEFLEET_{(o.name or '').upper()}`" not in text] == []


@pytest.mark.parametrize("name", reference.files())
def test_it_is_committed(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == reference.files()[name]
