from __future__ import annotations

import json
from pathlib import Path

import pytest

from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.taxonomy import MESC_10

SAID = "Hello, how are you today? I feel sad, as my day was long. 😀 Été."


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights with a byte-level vocabulary, as a pulled model would lie."""
    torch = pytest.importorskip("torch", reason="the extra `local` is not installed")
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = tmp_path_factory.mktemp("tiny-llama")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SAID, *MESC_7.labels, *MESC_10.labels], trainer)
    tokenizer.save(str(made / "tokenizer.json"))
    config = {
        "model_type": "llama", "hidden_act": "silu", "num_hidden_layers": 2, "hidden_size": 32,
        "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "max_position_embeddings": 600, "rope_theta": 10000.0,
        "vocab_size": tokenizer.get_vocab_size(), "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    (made / "config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    shapes = {"model.embed_tokens": (config["vocab_size"], 32), "model.norm": (32,)}
    for layer in range(2):
        shapes |= {
            f"model.layers.{layer}.{name}": shape
            for name, shape in {
                "input_layernorm": (32,), "post_attention_layernorm": (32,),
                "self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32),
                "self_attn.v_proj": (16, 32), "self_attn.o_proj": (32, 32),
                "mlp.gate_proj": (48, 32), "mlp.up_proj": (48, 32), "mlp.down_proj": (32, 48),
            }.items()
        }  # fmt: skip
    weights = {f"{name}.weight": torch.randn(shape) * 0.4 for name, shape in shapes.items()}
    save_file(weights, made / "model.safetensors")
    return made
