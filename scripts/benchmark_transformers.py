"""One measurement of transformers on torch, for scripts/benchmark.py; needs both, but not EasyMFT; prints JSON."""

import argparse
import json
import resource
import time

import numpy as np
import torch
import transformers

WARM_STEPS = 3
MEGABATCH = 50  # batches that are sorted by length together, as in transformers' own sampler


def plan_batches(lengths: np.ndarray, size: int, grouped: bool) -> list[np.ndarray]:
    """Random batches, or ones of like length."""
    generator = np.random.default_rng(0)
    order = generator.permutation(len(lengths))
    if grouped:
        parts = [order[start : start + MEGABATCH * size] for start in range(0, len(order), MEGABATCH * size)]
        order = np.concatenate([part[np.argsort(-lengths[part], kind="stable")] for part in parts])
    batches = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
    if grouped:
        generator.shuffle(batches)
    return batches


def make_inputs(tokens: dict[str, np.ndarray], batch: np.ndarray) -> dict[str, torch.Tensor]:
    """Pads a batch to its longest row."""
    starts = np.concatenate([[0], np.cumsum(tokens["lengths"])])
    shape = len(batch), int(tokens["lengths"][batch].max())
    inputs = {name: np.zeros(shape, np.int64) for name in ("input_ids", "token_type_ids", "attention_mask")}
    for row, example in enumerate(batch):
        part = slice(starts[example], starts[example + 1])
        length = part.stop - part.start
        inputs["input_ids"][row, :length] = tokens["ids"][part]
        inputs["token_type_ids"][row, :length] = tokens["types"][part]
        inputs["attention_mask"][row, :length] = 1
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def main() -> None:
    """Measures plain fine-tuning, or prediction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--weights", required=True, help="a Hugging Face folder")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--mode", choices=("train", "predict"), required=True)
    parser.add_argument("--best", action="store_true", help="length-grouped, bfloat16 autocast")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    tokens = dict(np.load(arguments.tokens))
    training = arguments.mode == "train"
    batches = plan_batches(tokens["lengths"], 32 if training else 64, arguments.best)[: arguments.steps + WARM_STEPS]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        arguments.weights, num_labels=int(tokens["labels"].max()) + 1
    )
    model.train(training)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)
    done, started = 0, 0.0
    for step, batch in enumerate(batches):
        if step == WARM_STEPS:
            started = time.perf_counter()
        inputs = make_inputs(tokens, batch)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=arguments.best)
        if training:
            with autocast:
                loss = model(**inputs, labels=torch.from_numpy(tokens["labels"][batch].astype(np.int64))).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        else:
            with torch.inference_mode(), autocast:
                model(**inputs).logits.float().numpy()
        done += len(batch) if step >= WARM_STEPS else 0
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(json.dumps({"rate": done / seconds, "peak_mib": peak, "versions": versions}))


if __name__ == "__main__":
    main()
