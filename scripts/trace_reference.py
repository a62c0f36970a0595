"""The deterministic trace of `trace_steps.py`, written independently in PyTorch from the published code's arithmetic.

Needs torch and transformers (no part of EasyMFT), and nothing of EasyMFT:
    python scripts/trace_reference.py --weights FOLDER --scored runs/amazon/typicality/scored.tsv --columns 0 1 2 3 \
        --layers 2 5 --steps 10 --rate 5e-5 --epochs 2 --initial runs/trace/initial.npz --output runs/trace/reference
and, to compare:
    python scripts/trace_reference.py --compare runs/trace/easymft runs/trace/reference
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", nargs=2, metavar="FOLDER")
    parser.add_argument("--weights", help="a Hugging Face folder")
    parser.add_argument("--scored", help="a TSV without header")
    parser.add_argument("--columns", type=int, nargs="+", help="text [text_pair] domain label typicality, from 0")
    parser.add_argument("--layers", type=int, nargs="+")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--initial")
    parser.add_argument("--output")
    return parser.parse_args()


def compare(first: Path, second: Path) -> None:
    """Prints the largest relative difference of each traced number, and the largest absolute one of the variables."""
    traces = [
        [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()] for folder in (first, second)
    ]
    if len(traces[0]) != len(traces[1]):
        raise SystemExit(f"{len(traces[0])} and {len(traces[1])} steps")
    for name in traces[1][0]:
        gaps = [abs(a[name] - b[name]) / max(abs(b[name]), 1e-12) for a, b in zip(*traces, strict=True)]
        print(f"{name:14s} largest relative difference over {len(gaps)} steps {max(gaps):.2e}")
    with np.load(first / "final.npz") as ours, np.load(second / "final.npz") as theirs:
        if set(ours) != set(theirs):
            raise SystemExit(f"variables only on one side: {sorted(set(ours) ^ set(theirs))}")
        gaps = {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours}
    worst = max(gaps, key=gaps.get)
    print(f"{len(gaps)} variables, largest absolute difference {gaps[worst]:.2e} ({worst})")


def read_rows(arguments: argparse.Namespace) -> list[list[str]]:
    """The chosen columns of the scored file."""
    with open(arguments.scored, encoding="utf-8", newline="\n") as stream:
        lines = [line.rstrip("\n") for line in stream]
    return [[line.split("\t")[column] for column in arguments.columns] for line in lines]


def tokenise(arguments: argparse.Namespace, rows: list[list[str]]) -> dict[str, np.ndarray]:
    """Token ids of the rows, padded to the full length; pairs lose tokens from the longer side, the second on a tie."""
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast.from_pretrained(arguments.weights)
    sides = len(arguments.columns) - 3
    parts = [tokenizer([row[side] for row in rows], add_special_tokens=False)["input_ids"] for side in range(sides)]
    ids = np.zeros([len(rows), arguments.length], np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for index, texts in enumerate(zip(*parts, strict=True)):
        texts = [list(text) for text in texts]
        while sum(map(len, texts)) > arguments.length - sides - 1:
            longer = 0 if sides == 1 or len(texts[0]) > len(texts[1]) else 1
            texts[longer].pop()
        row = [tokenizer.cls_token_id]
        segments = [0]
        for side, text in enumerate(texts):
            row += [*text, tokenizer.sep_token_id]
            segments += [side] * (len(text) + 1)
        ids[index, : len(row)], mask[index, : len(row)], types[index, : len(row)] = row, 1, segments
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def main() -> None:
    """Runs the steps, or compares two traces."""
    arguments = parse_arguments()
    if arguments.compare:
        compare(*map(Path, arguments.compare))
        return
    import torch
    from transformers import BertModel

    rows = read_rows(arguments)
    features = {name: torch.tensor(value) for name, value in tokenise(arguments, rows).items()}
    domain_names, label_names = (sorted({row[place] for row in rows}) for place in (-3, -2))
    domains = torch.tensor([domain_names.index(row[-3]) for row in rows])
    labels = torch.tensor([label_names.index(row[-2]) for row in rows])
    weights = torch.tensor([float(row[-1]) for row in rows])

    model = BertModel.from_pretrained(arguments.weights, attn_implementation="eager", hidden_act="gelu_pytorch_tanh")
    model.eval()  # no dropout; the gradients are the same
    model.embeddings.word_embeddings.padding_idx = None  # the published code trains the [PAD] row too
    added = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in np.load(arguments.initial).items()}
    parameters = dict(model.named_parameters()) | added
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in parameters.items()}
    total = int(len(rows) * arguments.epochs / arguments.batch_size) + 1
    warmup = int(0.1 * total)
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    trace = open(output / "trace.jsonl", "w", encoding="utf-8")
    for step in range(arguments.steps):
        chosen = [(step * arguments.batch_size + i) % len(rows) for i in range(arguments.batch_size)]
        # The rows of the embedding lookups, whose separate gradients enter the norm.
        looked_up = model.embeddings.word_embeddings(features["input_ids"][chosen])
        looked_up.retain_grad()
        domain_rows = added["domain_embedding"][domains[chosen]]
        domain_rows.retain_grad()
        outputs = model(
            inputs_embeds=looked_up,
            attention_mask=features["attention_mask"][chosen],
            token_type_ids=features["token_type_ids"][chosen],
            output_hidden_states=True,
        )
        logits = outputs.pooler_output @ added["head_kernel"] + added["head_bias"]
        t = weights[chosen]
        label_loss = (t * torch.nn.functional.cross_entropy(logits, labels[chosen], reduction="none")).sum()
        label_loss = label_loss / (t != 0).sum()
        targets = domains[chosen].flip(0)
        domain_losses = []
        for layer in arguments.layers:
            pooled = outputs.hidden_states[layer + 1].mean(1) + domain_rows
            domain_logits = pooled @ added["domain_kernel"][0] + added["domain_bias"][0]
            domain_losses.append(torch.nn.functional.cross_entropy(domain_logits, targets))
        domain_loss = sum(domain_losses) / len(domain_losses)
        loss = label_loss + 0.1 * domain_loss
        for parameter in parameters.values():
            parameter.grad = None
        loss.backward()
        squares = {name: float((p.grad**2).sum()) for name, p in parameters.items() if p.grad is not None}
        squares["embeddings.word_embeddings.weight"] = float((looked_up.grad**2).sum())
        squares["domain_embedding"] = float((domain_rows.grad**2).sum())
        norm = math.sqrt(sum(squares.values()))
        rate = arguments.rate * (1 - step / total) * (step / warmup if step < warmup else 1)
        corrected = rate * math.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        with torch.no_grad():
            for name, parameter in parameters.items():
                gradient = parameter.grad * min(1.0, 1.0 / norm)
                m, v = moments[name]
                m.mul_(0.9).add_(0.1 * gradient)
                v.mul_(0.999).add_(0.001 * gradient**2)
                update = m / (v.sqrt() + 1e-6)
                if "LayerNorm" not in name and "bias" not in name:
                    update = update + 0.01 * parameter
                parameter.sub_(corrected * update)
        line = {"step": step, "rate": rate, "loss": float(loss), "label_loss": float(label_loss)}
        trace.write(json.dumps(line | {"domain_loss": float(domain_loss), "gradient_norm": norm}) + "\n")
    np.savez(output / "final.npz", **{name: p.detach().numpy() for name, p in parameters.items()})


if __name__ == "__main__":
    main()
