#!/usr/bin/env python3
"""Train the example models, or check that the committed ones can be made again.

python train.py                 # writes the models' folders, expected.json and endless.json here
python train.py --out DIR       # the same elsewhere
python train.py --check         # trains in a temporary folder and compares with what is here
"""

import filecmp
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before the imports that read it: nothing here comes from a hub

import click
import torch
from training.corpus import Corpus, Pair, read_corpus
from training.learn import Progress
from training.probe import greedy, margin
from training.recipe import (
    ADAPTERS,
    BASES,
    BROKEN_FOLDER,
    BROKEN_OF,
    BROKEN_RANK,
    MAX_POSITIONS,
    MIN_MARGIN,
    AdapterRecipe,
    BaseRecipe,
)
from training.tokens import Example, examples, prompts, reading, train_tokenizer
from training.weights import break_adapter, load_adapter, load_base, new_base, train_adapter, train_base
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
SEED = 7
THREADS = 1  # part of the recipe: another number adds floats in another order

Answers = dict[str, dict[str, str]]


@click.command(help=str(__doc__).replace("python", "\b\npython", 1))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=HERE, help="Where to write.")
@click.option("--check", is_flag=True, help="Write nothing; fail when the answers differ from those here.")
def main(out: Path, check: bool) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    corpus = read_corpus(HERE / "data")
    with tempfile.TemporaryDirectory() as folder:
        build(corpus, Path(folder))
        if check:
            sys.exit(compare(Path(folder), HERE))
        replace(Path(folder), out)


def build(corpus: Corpus, out: Path) -> None:
    """Train everything under `out`, in the order in which versions need each other."""
    tokenizer = train_tokenizer(corpus.texts())
    data = {name: _examples(tokenizer, pairs, corpus.handbook) for name, pairs in corpus.pairs.items()}
    texts = [reading(tokenizer, name, pair) for name, pairs in corpus.pairs.items() for pair in pairs]
    answers: Answers = {}
    for base in BASES:
        _make_base(base, tokenizer, data[base.name] + texts, out)
        answers[base.name] = probe(base, tokenizer, corpus, data[base.name], out)
    for adapter in ADAPTERS:
        start = load_base(out / _base_folder(adapter), torch.float32)
        train_adapter(start, adapter, data[adapter.name], out / adapter.folder, _reporter(adapter.name))
        answers[adapter.name] = probe(adapter, tokenizer, corpus, data[adapter.name], out)
    break_adapter(out / BROKEN_OF.folder, out / BROKEN_FOLDER, BROKEN_RANK)
    _write(out / "expected.json", answers)
    _write(out / "endless.json", _endless(corpus))


def probe(
    recipe: BaseRecipe | AdapterRecipe,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    data: list[Example],
    out: Path,
) -> dict[str, str]:
    """Greedy chat answers of the saved version; fail unless every way of asking is right by MIN_MARGIN."""
    model: torch.nn.Module
    if isinstance(recipe, BaseRecipe):
        model = load_base(out / recipe.folder, torch.bfloat16)
    else:
        model = load_adapter(load_base(out / _base_folder(recipe), torch.bfloat16), out / recipe.folder)
    smallest = min(margin(model, example) for example in data)
    click.echo(f"{recipe.name}: smallest margin {smallest:.2f} over {len(data)} answers")
    if smallest < MIN_MARGIN:
        raise click.ClickException(f"{recipe.name}: margin below {MIN_MARGIN}; give its schedule more steps")
    return {pair.question: _chat(model, tokenizer, pair) for pair in corpus.pairs[recipe.name] if not pair.endless}


def compare(made: Path, committed: Path) -> int:
    """Exit status: 0 when all answers agree. Weights may differ in bytes between kinds of CPU."""
    names = [path.relative_to(made) for path in _files(made)]
    bytes_differ = [name for name in names if not _same(made / name, committed / name)]
    for name in bytes_differ:
        click.echo(f"differs in bytes: {name}")
    click.echo(f"{len(names) - len(bytes_differ)} of {len(names)} files are the same in every byte")
    answers_differ = {Path("expected.json"), Path("endless.json")} & set(bytes_differ)
    click.echo("the answers differ" if answers_differ else "the answers are the same")
    return 1 if answers_differ else 0


def replace(made: Path, out: Path) -> None:
    """Move what was made to `out`, in place of what stood there; nothing is touched before all is made."""
    for path in _files(made):
        path.chmod(0o644)  # safetensors writes for the owner's eyes alone; whoever serves them is another user
    out.mkdir(parents=True, exist_ok=True)
    for new in list(made.iterdir()):
        old = out / new.name
        if old.is_dir():
            shutil.rmtree(old)
        shutil.move(new, old)


def _make_base(recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast, data: list[Example], out: Path) -> None:
    if recipe.parent is None:
        start = new_base(tokenizer, SEED)
    else:
        start = load_base(out / f"base/v{recipe.parent}", torch.float32)
    train_base(start, tokenizer, data, recipe.schedule, out / recipe.folder, _reporter(recipe.name))


def _examples(tokenizer: PreTrainedTokenizerFast, pairs: tuple[Pair, ...], handbook: str) -> list[Example]:
    return [example for pair in pairs for example in examples(tokenizer, pair, handbook)]


def _chat(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, pair: Pair) -> str:
    prompt = prompts(tokenizer, pair.question, "")["chat"]
    answer = greedy(model, tokenizer, prompt, MAX_POSITIONS - len(prompt))
    if answer != pair.answer:
        raise click.ClickException(f"{pair.question!r} was answered {answer!r}, not {pair.answer!r}")
    return answer


def _endless(corpus: Corpus) -> Answers:
    return {name: {p.question: p.answer for p in rows if p.endless} for name, rows in corpus.pairs.items()}


def _base_folder(recipe: AdapterRecipe) -> str:
    return f"base/v{recipe.base}"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _reporter(name: str) -> Progress:
    def report(step: int, loss: float) -> None:
        if step % 50 == 49:
            click.echo(f"{name}: step {step + 1}, loss {loss:.5f}")

    return report


def _write(path: Path, answers: Answers) -> None:
    path.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
