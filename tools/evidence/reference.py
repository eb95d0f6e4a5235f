"""What the two models give, in float64 with numpy, from the formulas of BERT and Llama: expected.json in the folder given."""

import json
import math
import sys
from pathlib import Path

import numpy
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from prepare import prepare

PAIRS = [
    ["A man is playing a guitar.", "Someone plays an instrument."],
    ["The cat sleeps on the sofa.", "A kitten naps on the couch."],
    ["Rain is expected in the north tomorrow.", "The forecast says it will be wet up north."],
    ["She bought fresh bread at the bakery.", "He repaired the old bicycle."],
    ["How do I reset my password?", "I forgot my login and need a new one."],
    ["The stock market fell sharply today.", "Shares dropped a lot this afternoon."],
    ["Photosynthesis turns light into energy.", "Plants make sugar from sunlight."],
    ["The museum is closed on Mondays.", "Quantum computers use superposition."],
    ["Two dogs run across a snowy field.", "Animals are running through the snow."],
    ["I would like a table for four.", "The train to Paris leaves at nine."],
]
PROMPT = "The three most important things about attention in transformers are"
TOKENS = 64

erf = numpy.vectorize(math.erf, otypes=[float])


def softmax(scores):
    weights = numpy.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def heads_of(x, heads):
    return x.reshape(len(x), heads, -1).swapaxes(0, 1)  # [heads, tokens, width]


def float64(folder: Path):
    return {name: tensor.astype(numpy.float64) for name, tensor in load_file(folder / "model.safetensors").items()}


def minilm(folder: Path):
    """Mean-pooled and normalised embeddings of all sentences, and their token ids."""
    config = json.loads((folder / "config.json").read_text())
    parameters = float64(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()

    def linear(x, name):
        return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / numpy.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]

    def embed(ids):
        tables = ["word", "position", "token_type"]
        word, position, kind = (parameters[f"embeddings.{table}_embeddings.weight"] for table in tables)
        x = norm(word[ids] + position[: len(ids)] + kind[0], "embeddings.LayerNorm")
        for n in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{n}"
            query, key, value = (
                heads_of(linear(x, f"{layer}.attention.self.{part}"), config["num_attention_heads"])
                for part in ["query", "key", "value"]
            )
            weights = softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1]))
            attended = (weights @ value).swapaxes(0, 1).reshape(x.shape)
            x = norm(x + linear(attended, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            inner = linear(x, f"{layer}.intermediate.dense")
            inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
            x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean = x.mean(0)
        return mean / numpy.linalg.norm(mean)

    ids = [tokenizer.encode(sentence).ids for pair in PAIRS for sentence in pair]
    return {"pairs": PAIRS, "ids": ids, "embeddings": [embed(each).tolist() for each in ids]}


def smollm2(folder: Path):
    """Greedy tokens after the prompt, with keys and values kept, and the logits of the first step."""
    config = json.loads((folder / "config.json").read_text())
    parameters = float64(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    kept = [None] * config["num_hidden_layers"]

    def norm(x, name):
        return x / numpy.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"]) * parameters[f"{name}.weight"]

    def rotate(x, first):
        half = x.shape[-1] // 2
        angles = numpy.outer(numpy.arange(first, first + x.shape[1]), config["rope_theta"] ** (-numpy.arange(half) / half))
        cosine, sine = numpy.cos(angles), numpy.sin(angles)
        low, high = x[..., :half], x[..., half:]
        return numpy.concatenate([low * cosine - high * sine, high * cosine + low * sine], -1)

    def logits_of(ids, first):
        """Logits of the last token; `first`: how many tokens came before."""
        x = parameters["model.embed_tokens.weight"][ids]
        for n in range(config["num_hidden_layers"]):
            layer = f"model.layers.{n}"
            project = lambda x, part: x @ parameters[f"{layer}.{part}.weight"].T
            inside = norm(x, f"{layer}.input_layernorm")
            query = rotate(heads_of(project(inside, "self_attn.q_proj"), heads), first)
            key = rotate(heads_of(project(inside, "self_attn.k_proj"), kv_heads), first)
            value = heads_of(project(inside, "self_attn.v_proj"), kv_heads)
            if first > 0:
                key, value = (numpy.concatenate(both, 1) for both in zip(kept[n], (key, value)))
            kept[n] = key, value
            key, value = (numpy.repeat(each, heads // kv_heads, 0) for each in (key, value))
            scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
            future = numpy.arange(key.shape[1]) > first + numpy.arange(len(ids))[:, None]
            weights = softmax(numpy.where(future, -numpy.inf, scores))
            x = x + project((weights @ value).swapaxes(0, 1).reshape(len(ids), -1), "self_attn.o_proj")
            inside = norm(x, f"{layer}.post_attention_layernorm")
            gate = project(inside, "mlp.gate_proj")
            x = x + project(gate / (1 + numpy.exp(-gate)) * project(inside, "mlp.up_proj"), "mlp.down_proj")
        return norm(x[-1], "model.norm") @ parameters["model.embed_tokens.weight"].T

    prompt = tokenizer.encode(PROMPT).ids
    logits = logits_of(prompt, 0)
    expected = {"prompt": PROMPT, "ids": prompt, "logits": logits.tolist(), "tokens": []}
    while len(expected["tokens"]) < TOKENS:
        token = int(logits.argmax())
        expected["tokens"].append(token)
        logits = logits_of([token], len(prompt) + len(expected["tokens"]) - 1)
    return expected | {"text": tokenizer.decode(expected["tokens"])}


if __name__ == "__main__":
    cache = Path(sys.argv[1])
    prepare(cache)
    for name, model in {"minilm": minilm, "smollm2": smollm2}.items():
        if not (cache / name / "expected.json").exists():
            print(f"{name}: float64", flush=True)
            (cache / name / "expected.json").write_text(json.dumps(model(cache / name)))
