"""What a version is: which files count, and the one sha256 that stands for them.

The digest of a version is the sha256 over the sorted lines `<sha256 hex of the file>  <name>\\n` of its files that
count, the format of `sha256sum`, so that anybody can check it:

    sha256sum adapter_config.json adapter_model.safetensors | LC_ALL=C sort | sha256sum

Only files directly at the source's place count. Files that the engine does not read (README.md, optimizer states,
pickled weights, code) do not, so changing them makes no new version, and they are never transferred.
"""

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from tunefleet.api.inspection import InspectedKind

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLED_WEIGHTS = ("adapter_model.bin", "adapter_model.pt")
"""Never read; their presence explains why there is nothing else."""

TOKENIZER_FILES = frozenset(
    {
        "added_tokens.json",
        "chat_template.jinja",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
_ADAPTER = frozenset({ADAPTER_CONFIG, ADAPTER_WEIGHTS}) | TOKENIZER_FILES
_BASE_SUFFIXES = frozenset({".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken"})
_BASE_EXCLUDED = ("consolidated",)
"""Mistral repositories hold all weights twice; the engine reads the other copy."""


def counts(kind: InspectedKind, name: str) -> bool:
    """Whether a file, by its name relative to the source's place, is part of a version."""
    if "/" in name or name.startswith("."):
        return False
    if kind == "adapter":
        return name in _ADAPTER
    return PurePosixPath(name).suffix in _BASE_SUFFIXES and not name.startswith(_BASE_EXCLUDED)


def version_digest(hashes: Mapping[str, str]) -> str:
    """`sha256:…` of a version from the sha256 (hexadecimal) of each of its files by name."""
    lines = sorted(f"{sha256}  {name}\n" for name, sha256 in hashes.items())
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
