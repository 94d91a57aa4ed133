"""The digest is what `sha256sum | sort | sha256sum` says, over the files that count."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.artifacts.samples import write_adapter
from tunefleet.artifacts.digest import counts, version_digest
from tunefleet.artifacts.store import sha256_of_file


def test_anybody_can_check_a_digest_with_the_shell(tmp_path: Path) -> None:
    write_adapter(tmp_path)
    assert shutil.which("sha256sum")
    command = "sha256sum adapter_config.json adapter_model.safetensors | LC_ALL=C sort | sha256sum"
    shell = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    names = ("adapter_model.safetensors", "adapter_config.json")
    assert version_digest({name: sha256_of_file(tmp_path / name) for name in names}) == f"sha256:{shell.stdout[:64]}"


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"]
)
def test_files_of_an_adapter(name: str) -> None:
    assert counts("adapter", name)


@pytest.mark.parametrize(
    "name",
    ["README.md", "adapter_model.bin", "model.safetensors", "trainer_state.json", "x/adapter_config.json", ".x.json"],
)
def test_files_that_are_no_part_of_an_adapter(name: str) -> None:
    assert not counts("adapter", name)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model-00001-of-00002.safetensors",
        "tokenizer.model",
        "merges.txt",
        "model.safetensors.index.json",
    ],
)
def test_files_of_a_base(name: str) -> None:
    assert counts("base", name)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "pytorch_model.bin",
        "modeling_x.py",
        "original/x.json",
        ".gitattributes",
        "consolidated.safetensors",
    ],
)
def test_files_that_are_no_part_of_a_base(name: str) -> None:
    assert not counts("base", name)


def test_the_order_of_files_does_not_matter_and_names_do() -> None:
    assert version_digest({"a": "1", "b": "2"}) == version_digest({"b": "2", "a": "1"})
    assert version_digest({"a": "1", "b": "2"}) != version_digest({"a": "2", "b": "1"})
