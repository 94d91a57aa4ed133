"""Writes the CustomResourceDefinitions: `python -m tunefleet.api.crdgen crds/`."""

from pathlib import Path
from typing import Any

import click
import yaml

from .crd import definition
from .kinds import KINDS

HEADER = "# Made by `make generate` from operator/tunefleet/api/; change it there.\n"


class _Plain(yaml.SafeDumper):
    """Repeats a structure that occurs twice, rather than refer to it by an anchor."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def files() -> dict[str, str]:
    """File name to content, one file a kind."""
    return {f"{kind.plural}.yaml": HEADER + _yaml(definition(kind)) for kind in KINDS}


def write(directory: Path, contents: dict[str, str]) -> None:
    """Write files into a directory, which is made if it does not exist."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_text(content, encoding="utf-8")


def _yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def main(directory: Path) -> None:
    """Write the CustomResourceDefinitions of the API into DIRECTORY, one file a kind."""
    write(directory, files())


if __name__ == "__main__":
    main()
