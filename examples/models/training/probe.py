"""Are the answers right, and by how much? Asked of the saved files, in bf16, as an engine serves them."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from training.learn import IGNORED, tensors
from training.tokens import Example


@torch.no_grad()
def margin(model: nn.Module, example: Example) -> float:
    """Smallest logit of an expected token minus the best other logit, over the tokens of the answer.

    Positive means that greedy decoding gives exactly this answer; how positive says how much numerical
    difference between engines it survives.
    """
    ids, labels = tensors([example])
    wanted = labels[0, 1:]
    logits = model(input_ids=ids).logits[0, :-1].float()[wanted != IGNORED]
    wanted = wanted[wanted != IGNORED].unsqueeze(1)
    best_other = logits.scatter(1, wanted, -math.inf).max(1).values
    return float((logits.gather(1, wanted).squeeze(1) - best_other).min())


@torch.no_grad()
def greedy(model: nn.Module, tokenizer: PreTrainedTokenizerFast, prompt: Sequence[int], limit: int) -> str:
    """Text of at most `limit` tokens, decoded one by one through the KV cache, up to the end token."""
    ids, answer, cache = torch.tensor([list(prompt)]), list[int](), None
    while len(answer) < limit:
        output = model(input_ids=ids, past_key_values=cache, use_cache=True)
        ids, cache = output.logits[:, -1:].argmax(-1), output.past_key_values
        if ids.item() == tokenizer.eos_token_id:
            break
        answer.append(int(ids.item()))
    return str(tokenizer.decode(answer))
