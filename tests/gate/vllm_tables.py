"""What vLLM's model classes say of adapters, without importing any: run by the Python that has vLLM.

Prints JSON: {"without_lora": […], "with_embeddings": […], "with_input_embedding": […]}, names as in config.json.
"""

import ast
import importlib.util
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REGISTRIES = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS")
MARK, TABLE = "SupportsLoRA", "embedding_modules"


@dataclass(frozen=True)
class Model:
    """One class, as its source has it."""

    module: str
    bases: tuple[str, ...]
    embeddings: frozenset[str] | str | None
    """Names of adaptable embeddings; a class to look it up in; None where the class says nothing."""


def main() -> None:
    """Print the tables."""
    found = importlib.util.find_spec("vllm")
    assert found is not None
    assert found.origin is not None
    root = Path(found.origin).parent / "model_executor" / "models"
    classes: defaultdict[str, list[Model]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for name, model in models(path.stem, ast.parse(path.read_text())):
            classes[name].append(model)
    known = {name: find(classes, *place) for name, place in registered(root / "registry.py").items()}
    with_lora = {
        name: lora for name, model in known.items() if model and (lora := adaptable(classes, model)) is not None
    }
    tables = {
        "without_lora": sorted(known.keys() - with_lora.keys()),
        "with_embeddings": sorted(name for name, found in with_lora.items() if "lm_head" in found),
        "with_input_embedding": sorted(name for name, found in with_lora.items() if found and "lm_head" not in found),
    }
    print(json.dumps(tables))


def models(module: str, tree: ast.Module) -> Iterator[tuple[str, Model]]:
    """Classes by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = tuple(ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases)
            yield node.name, Model(module, bases, embeddings(node))


def embeddings(node: ast.ClassDef) -> frozenset[str] | str | None:
    """The class's own table of embeddings."""
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name == TABLE:
                if isinstance(value, ast.Attribute):
                    return ast.unparse(value.value)
                return frozenset(ast.literal_eval(value))
    return None


def registered(path: Path) -> dict[str, tuple[str, str]]:
    """Architecture -> (module, class)."""
    result: dict[str, tuple[str, str]] = {}
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table) if name in REGISTRIES:
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as table) if name in REGISTRIES:
                pass
            case _:
                continue
        for key, value in zip(table.keys, table.values, strict=True):
            if key is not None:
                module, class_name = ast.literal_eval(value)
                result[ast.literal_eval(key)] = (module, class_name)
    return result


def find(classes: dict[str, list[Model]], module: str, name: str) -> Model | None:
    """The class of that name, in that module if several have one."""
    named = classes.get(name, [])
    here = [model for model in named if model.module == module.rpartition(".")[2]]
    return next(iter([*here, *named]), None)


def adaptable(classes: dict[str, list[Model]], model: Model) -> frozenset[str] | None:
    """The nearest table of embeddings of a class that is SupportsLoRA, or whose base is; None for one that is not."""
    line = list(ancestors(classes, model, set()))
    if not any(MARK in each.bases for each in line):
        return None
    said = next((each.embeddings for each in line if each.embeddings is not None), frozenset[str]())
    if isinstance(said, str):
        other = find(classes, "", said)
        said = other.embeddings if other and isinstance(other.embeddings, frozenset) else frozenset[str]()
    return said


def ancestors(classes: dict[str, list[Model]], model: Model, seen: set[str]) -> Iterator[Model]:
    """The class and all its bases that are vLLM's models, nearest first."""
    yield model
    for name in model.bases:
        if name not in seen and name in classes and name != MARK:
            seen.add(name)
            yield from ancestors(classes, classes[name][0], seen)


if __name__ == "__main__":
    main()
