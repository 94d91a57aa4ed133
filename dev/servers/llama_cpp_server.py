"""Runs llama.cpp's server on a model of 74,000 random weights. Run by the Python that has xllamacpp and gguf.

The model knows 256 bytes and nothing else: what it says is noise, and the server is the real one.

    llama_cpp_server.py DIRECTORY HOST PORT MODEL KEY
"""

import signal
import sys
from pathlib import Path

import gguf  # type: ignore[import-not-found,unused-ignore]
import numpy as np
import xllamacpp  # type: ignore[import-not-found,unused-ignore]

HIDDEN, FEED_FORWARD, HEADS, CONTEXT = 64, 128, 2, 1024
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def write_model(path: Path) -> None:
    """A Llama of one layer over bytes; the same one each time."""
    writer = gguf.GGUFWriter(str(path), "llama")
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([word.encode() for word in words])
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, shape in _shapes(len(words)).items():
        writer.add_tensor(name, _weights(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes(words: int) -> dict[str, tuple[int, ...]]:
    square, block = (HIDDEN, HIDDEN), "blk.0."
    return {
        "token_embd.weight": (words, HIDDEN),
        "output_norm.weight": (HIDDEN,),
        "output.weight": (words, HIDDEN),
        f"{block}attn_norm.weight": (HIDDEN,),
        **{f"{block}attn_{part}.weight": square for part in ("q", "k", "v", "output")},
        f"{block}ffn_norm.weight": (HIDDEN,),
        f"{block}ffn_gate.weight": (FEED_FORWARD, HIDDEN),
        f"{block}ffn_up.weight": (FEED_FORWARD, HIDDEN),
        f"{block}ffn_down.weight": (HIDDEN, FEED_FORWARD),
    }


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    """Norms are ones."""
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * 0.1).astype(np.float32)


def main(directory: str, host: str, port: str, model: str, key: str) -> None:
    """Serve until SIGTERM."""
    path = Path(directory) / "tiny.gguf"
    write_model(path)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {model}
    params.api_keys = [key]
    params.hostnames = [host]
    params.port = int(port)
    params.n_ctx = CONTEXT
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
