"""Training on the CPU until the answers are known by heart; the same seed gives the same weights."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.recipe import Schedule
from training.tokens import Example

SHORT = 64
"""Tokens up to which examples share one padded batch; longer ones go one by one, without padding."""

SHORT_PER_STEP, LONG_PER_STEP = 48, 3
WARMUP_STEPS = 20
TEMPERATURE = 2.0
"""Logits are halved in training only: the same loss then stands for twice the margin between tokens."""

IGNORED = -100

Progress = Callable[[int, float], None]


def fit(model: nn.Module, data: Sequence[Example], schedule: Schedule, progress: Progress) -> None:
    """Minimise the mean cross-entropy (nats) of the answers' tokens, in place.

    Every step sees many short examples and a few long ones: the short ones hold most of the knowledge, and
    the long ones cost most of the time.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, schedule.steps))
    short = _in_turn([e for e in data if len(e) <= SHORT])
    long = _in_turn([e for e in data if len(e) > SHORT])
    model.train()
    for step in range(schedule.steps):
        optimizer.zero_grad()
        batches = [list(islice(short, SHORT_PER_STEP)), *([next(long)] for _ in range(LONG_PER_STEP))]
        tokens = sum(len(e.answer) for batch in batches for e in batch)
        loss = sum(_backward(model, batch, tokens) for batch in batches)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        scheduler.step()
        progress(step, loss)
    model.eval()


def tensors(batch: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Input ids and labels, both (batch, longest); labels are IGNORED outside the answers.

    Padding stands at the right, where causal attention keeps it out of sight.
    """
    width = max(len(e) for e in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.answer)
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.answer)
    return ids, labels


def _backward(model: nn.Module, batch: Sequence[Example], tokens: int) -> float:
    ids, labels = tensors(batch)
    logits = model(input_ids=ids).logits[:, :-1] / TEMPERATURE
    loss: Tensor = (
        cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum", ignore_index=IGNORED) / tokens
    )
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _in_turn(data: Sequence[Example]) -> Iterator[Example]:
    """Endless draws, shuffled anew each round, so that no example waits longer than two rounds."""
    order = random.Random(0)
    while True:
        yield from order.sample(data, len(data))
