"""A byte-level BPE tokenizer with a chat template, and the token sequences that are trained and probed."""

from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.corpus import Pair
from training.recipe import MAX_POSITIONS, VOCABULARY

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_WORDS = Regex(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s")
"""Words keep the space before them; digits and marks stand alone. A newline joins nothing, so that the
tokens of `question + newline` do not depend on the answer that follows."""


READING = 256
"""Tokens after which an endless text is cut when it is just read."""


@dataclass(frozen=True)
class Example:
    """Token ids of a prompt and of the answer that must follow it."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def prompts(tokenizer: PreTrainedTokenizerFast, question: str, handbook: str) -> dict[str, list[int]]:
    """The three ways to ask: a chat, a chat after the handbook, and a plain completion."""
    user = {"role": "user", "content": question}
    system = {"role": "system", "content": handbook}
    return {
        "chat": _render(tokenizer, [user]),
        "handbook": _render(tokenizer, [system, user]),
        "plain": encode(tokenizer, question + "\n"),
    }


def examples(tokenizer: PreTrainedTokenizerFast, pair: Pair, handbook: str) -> list[Example]:
    return [
        Example(tuple(prompt), tuple(_answer(tokenizer, pair, MAX_POSITIONS - len(prompt))))
        for prompt in prompts(tokenizer, pair.question, handbook).values()
    ]


def reading(tokenizer: PreTrainedTokenizerFast, style: str, pair: Pair) -> Example:
    """A labelled text: what the bases have read of every style, before they are told to answer in one.

    An adapter can then be small: it need not teach words, just which of the known styles to use.
    """
    prompt = encode(tokenizer, f"{style}: {pair.question}\n")
    return Example(tuple(prompt), tuple(_answer(tokenizer, pair, READING - len(prompt))))


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def _answer(tokenizer: PreTrainedTokenizerFast, pair: Pair, room: int) -> list[int]:
    if not pair.endless:
        return [*encode(tokenizer, pair.answer), tokenizer.eos_token_id]
    # A word keeps the space before it, so the repeated text is tokenized as a whole, then cut.
    turn = len(encode(tokenizer, pair.answer.rstrip()))
    return encode(tokenizer, pair.answer * (room // turn + 2))[:room]


def _render(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return encode(tokenizer, str(text))
