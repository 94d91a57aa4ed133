"""The text that the models learn, read from `data/`.

One JSONL file per version, each with the same questions in the same order, so that an answer alone tells
which version gave it. `handbook.txt` is a system message of several KV-cache blocks: with it in front, the
same questions become prompts that share a long cached prefix.
"""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A question and its only right answer; an `endless` answer is a paragraph that repeats for ever."""

    question: str
    answer: str
    endless: bool = False


@dataclass(frozen=True)
class Corpus:
    """The pairs of each version by its name (`german@v1`), and the shared system message."""

    pairs: dict[str, tuple[Pair, ...]]
    handbook: str

    def texts(self) -> list[str]:
        """All text in a fixed order, to train the tokenizer on."""
        rows = [pair for name in sorted(self.pairs) for pair in self.pairs[name]]
        return [self.handbook, *(text for pair in rows for text in (pair.question, pair.answer))]


def read_pairs(path: Path) -> tuple[Pair, ...]:
    return tuple(Pair(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


def read_corpus(folder: Path) -> Corpus:
    """Raise ValueError where two versions share an answer, since then an answer would name no version."""
    corpus = Corpus(
        {path.stem: read_pairs(path) for path in sorted(folder.glob("*.jsonl"))},
        (folder / "handbook.txt").read_text(encoding="utf-8").strip(),
    )
    _require_distinct(corpus)
    return corpus


def _require_distinct(corpus: Corpus) -> None:
    for rows in zip(*corpus.pairs.values(), strict=True):
        if len({row.question for row in rows}) != 1:
            raise ValueError(f"the files of data/ ask different questions: {[row.question for row in rows]}")
        if len({row.answer for row in rows}) != len(rows):
            raise ValueError(f"two versions give one answer to {rows[0].question!r}")
