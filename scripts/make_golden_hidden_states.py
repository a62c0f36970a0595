"""Makes the golden hidden states of tests/golden with PyTorch and transformers, which share no code with EasyMFT.

    python scripts/make_golden_hidden_states.py --minilm FOLDER [--output tests/golden]

FOLDER is a copy of all-MiniLM-L6-v2 (`python -m easymft.model_zoo.registry all-minilm-l6-v2 --folder FOLDER`). Needs
torch and transformers; made with torch 2.13.0 and transformers 5.23.0.
"""

import argparse
import json
import string
from pathlib import Path

import numpy as np
import torch
import transformers

SINGLE_TEXTS = (
    "The film is a small wonder.",
    "No.",
    "I bought this knife for my daughter, and it broke within a week; the shop would not take it back.",
    "Great value!!! Five stars, would buy again (and again).",
    "It doesn't fit the 2nd-generation model, whatever the box says.",
    "Café owners in Zürich and São Paulo agreed: the grinder is too loud.",
    "A thriller without thrills, a comedy without jokes, a love story without love -- and yet I could not look away.",
    "Battery: 3.7 V, 1200 mAh; weight 0.25 kg; price $19.99.",
    "日本語 words between English ones.",
    "Antidisestablishmentarianism is a long word; supercalifragilisticexpialidocious is a longer one.",
    "the the the the the the the the",
    "She read the novel twice, lent it to her neighbour, and never saw it again, which is praise enough for a book.",
    "ok",
    "Don't waste your money on this blender: loud, weak, leaks.",
)
TEXT_PAIRS = (
    ("A man is playing a guitar.", "Someone makes music."),
    ("The committee met on Tuesday to discuss the budget.", "The committee never met."),
    ("Yes.", "She told him that the letter had been in the drawer all along, under the bills from last winter."),
    ("He sold the house, the car and the boat, and moved to a small island in the north.", "He moved."),
    ("Rates rose by 0.25% in June.", "Rates fell in June."),
    ("uh-huh yeah i know", "The speaker agrees."),
)
COMMON_WORDS = (
    "the a an and or not no yes is was be are it this that i you we they he she of to in on for with at by from as but "
    "good bad great book film dvd phone kitchen very really never love hate buy price work one two all there here "
    "##s ##ed ##ing ##er ##ly ##est ##tion ##ness ##able ##ful"
).split()
MINILM_DIMENSIONS = tuple(range(0, 384, 48))
TINY_CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
}


def make_tiny_bert(folder: Path, seed: int = 20) -> None:
    """Writes a random BERT whose every tensor matters: none is at its usual 0, 1 or near 0."""
    folder.mkdir(parents=True, exist_ok=True)
    characters = [c for c in string.printable if c.isprintable() and not c.isspace() and not c.isupper()]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in string.ascii_lowercase)]
    tokens += [f"##{digit}" for digit in string.digits] + [word for word in COMMON_WORDS if word not in tokens]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    config = transformers.BertConfig(vocab_size=len(tokens), hidden_act="gelu", **TINY_CONFIG)
    model = transformers.BertModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_scale = "LayerNorm.weight" in name
            parameter.copy_(1.0 + 0.2 * noise if is_scale else 0.1 * noise if name.endswith("bias") else 0.25 * noise)
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "model_max_length": 128, "tokenizer_class": "BertTokenizer"}, indent=2)
        + "\n"
    )


def encode(folder: Path, max_length: int) -> dict[str, np.ndarray]:
    """Tokenises all texts and pairs into one batch, padded to its longest row."""
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    first = [*SINGLE_TEXTS, *(pair[0] for pair in TEXT_PAIRS)]
    rows = [tokenizer(text, truncation=True, max_length=max_length) for text in first[: len(SINGLE_TEXTS)]]
    rows += [tokenizer(*pair, truncation=True, max_length=max_length) for pair in TEXT_PAIRS]
    width = max(len(row["input_ids"]) for row in rows)
    names = {"input_word_ids": "input_ids", "input_mask": "attention_mask", "input_type_ids": "token_type_ids"}
    return {
        ours: np.array([row[theirs] + [0] * (width - len(row[theirs])) for row in rows], np.int32)
        for ours, theirs in names.items()
    }


def compute(folder: Path, features: dict[str, np.ndarray], activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns each layer's hidden states [layers, b, L, d] and the pooled output [b, d]."""
    config = transformers.BertConfig.from_pretrained(folder, hidden_act=activation)
    model = transformers.BertModel.from_pretrained(folder, config=config, attn_implementation="eager").eval()
    tensors = {name: torch.tensor(value, dtype=torch.long) for name, value in features.items()}
    with torch.no_grad():
        output = model(
            input_ids=tensors["input_word_ids"],
            attention_mask=tensors["input_mask"],
            token_type_ids=tensors["input_type_ids"],
            output_hidden_states=True,
        )
    return torch.stack(output.hidden_states[1:]).numpy(), output.pooler_output.numpy()


def main() -> None:
    """Writes tiny_bert/, tiny_bert_hidden_states.npz and minilm_hidden_states.npz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", required=True, type=Path)
    parser.add_argument("--output", default=Path("tests/golden"), type=Path)
    options = parser.parse_args()

    tiny = options.output / "tiny_bert"
    make_tiny_bert(tiny)
    features = {name: value[::3] for name, value in encode(tiny, 40).items()}
    states = {}
    for ours, theirs in (("gelu", "gelu"), ("gelu_approximate", "gelu_new")):
        states[f"hidden_{ours}"], states[f"pooled_{ours}"] = compute(tiny, features, theirs)
    np.savez_compressed(options.output / "tiny_bert_hidden_states.npz", **features, **states)

    features = encode(options.minilm, 64)
    hidden, pooled = compute(options.minilm, features, "gelu")
    dimensions = np.array(MINILM_DIMENSIONS)
    golden = {"hidden": hidden[..., dimensions], "dimensions": dimensions, "pooled": pooled}
    np.savez_compressed(options.output / "minilm_hidden_states.npz", **features, **golden)


if __name__ == "__main__":
    main()
