"""transformers on torch, for scripts/benchmark.py; needs both, but not EasyMFT."""

import argparse
import csv
import tempfile

import numpy as np
import torch
import transformers
from benchmark_tokens import PREDICT_BATCH, Report, make_parser, pad, plan_batches, plan_steps


class Trainer:
    """Plain fine-tuning, or prediction, with transformers' sequence classifier."""

    def __init__(self, arguments: argparse.Namespace, num_labels: int, total_steps: int):
        torch.manual_seed(arguments.seed)
        self._best = arguments.best
        auto = transformers.AutoModelForSequenceClassification
        self.model = auto.from_pretrained(arguments.weights, num_labels=num_labels)
        rates = {"lr": arguments.learning_rate, "weight_decay": 0.01}
        self._optimizer = torch.optim.AdamW(self.model.parameters(), **rates, fused=True)  # transformers' default
        self._schedule = transformers.get_linear_schedule_with_warmup(self._optimizer, total_steps // 10, total_steps)

    def _forward(
        self, model: torch.nn.Module, tokens: dict[str, np.ndarray], batch: np.ndarray, **inputs: torch.Tensor
    ) -> object:
        padded = pad(tokens, batch, None, np.int64)
        names = {"ids": "input_ids", "types": "token_type_ids", "mask": "attention_mask"}
        inputs |= {names[name]: torch.from_numpy(values) for name, values in padded.items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=self._best):
            return model(**inputs)

    def train(self, tokens: dict[str, np.ndarray], batch: np.ndarray) -> None:
        """One update."""
        self.model.train()
        labels = torch.from_numpy(tokens["labels"][batch].astype(np.int64))
        self._forward(self.model, tokens, batch, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()

    def predict(self, tokens: dict[str, np.ndarray], batch: np.ndarray) -> np.ndarray:
        """Logits [b, M]."""
        self.model.eval()
        with torch.inference_mode():
            return self._forward(self.model, tokens, batch).logits.float().numpy()

    def embed(self, tokens: dict[str, np.ndarray], batch: np.ndarray) -> np.ndarray:
        """Means of the last layer's real tokens, [b, d]."""
        self.model.eval()
        with torch.inference_mode():
            states = self._forward(self.model.base_model, tokens, batch).last_hidden_state.float()
            mask = torch.from_numpy(pad(tokens, batch, None, np.float32)["mask"])[:, :, None]
            return ((states * mask).sum(1) / mask.sum(1)).numpy()


def tokenize(arguments: argparse.Namespace, file: str) -> dict[str, np.ndarray]:
    """Tokens of a TSV file that holds all classes, by transformers' own tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.weights)
    with open(file, encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [[row[column] for row in rows] for column in arguments.columns[:-1]]
    names = [row[arguments.columns[-1]] for row in rows]
    encoded = tokenizer(*texts, truncation=True, max_length=arguments.max_length)
    classes = sorted(set(names))
    return {
        "ids": np.concatenate(encoded["input_ids"]),
        "types": np.concatenate(encoded["token_type_ids"]),
        "lengths": np.array([len(ids) for ids in encoded["input_ids"]]),
        "labels": np.array([classes.index(name) for name in names]),
    }


def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Trains from a TSV file to saved weights; returns the accuracy on another, which is taken after each epoch."""
    tokens, dev = (tokenize(arguments, file) for file in (arguments.train_file, arguments.dev_file))
    plans = [
        plan_batches(tokens["lengths"], arguments.batch_size, arguments.best, 1000 * arguments.seed + epoch)
        for epoch in range(arguments.epochs)
    ]
    trainer = Trainer(arguments, int(tokens["labels"].max()) + 1, sum(map(len, plans)))
    rows = np.argsort(dev["lengths"]) if arguments.best else np.arange(len(dev["labels"]))
    parts = [rows[start : start + PREDICT_BATCH] for start in range(0, len(rows), PREDICT_BATCH)]
    accuracy = 0.0
    for plan in plans:
        for batch in plan:
            trainer.train(tokens, batch)
        right = [(trainer.predict(dev, part).argmax(1) == dev["labels"][part]).sum() for part in parts]
        accuracy = float(sum(right)) / len(rows)
    with tempfile.TemporaryDirectory() as folder:
        trainer.model.save_pretrained(folder)
    return {"accuracy": accuracy}


def measure(arguments: argparse.Namespace, report: Report) -> None:
    """Runs some steps on given tokens."""
    tokens = dict(np.load(arguments.tokens))
    size = arguments.batch_size if arguments.mode == "train" else PREDICT_BATCH
    batches = plan_steps(tokens["lengths"], size, arguments.best, arguments.steps, arguments.seed)
    trainer = Trainer(arguments, int(tokens["labels"].max()) + 1, len(batches))
    compute = {"train": trainer.train, "predict": trainer.predict, "typicality": trainer.embed}[arguments.mode]
    report.run(batches, lambda batch: compute(tokens, batch))


def main() -> None:
    """Measures plain fine-tuning, prediction, or embedding, which typicality needs."""
    arguments = make_parser(__doc__).parse_args()
    report, values = Report(), {}
    if arguments.mode == "run":
        values = run(arguments)
    else:
        measure(arguments, report)
    report.print(f"transformers {transformers.__version__}, torch {torch.__version__}", **values)


if __name__ == "__main__":
    main()
