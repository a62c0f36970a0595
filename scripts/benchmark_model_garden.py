"""Model Garden's own sentence prediction task, for scripts/benchmark.py: its classifier, optimizer and train step.

As its data loaders do, every row is padded to the maximum. The weights are random, which takes no other time.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from benchmark_tokens import PREDICT_BATCH, Report, make_parser, pad, plan_steps
from official.modeling import optimization
from official.nlp.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask


def make_task(weights: str, num_labels: int) -> SentencePredictionTask:
    """The task for an encoder of a Hugging Face folder's shape."""
    shape = json.loads((Path(weights) / "config.json").read_text())
    config = SentencePredictionConfig()
    config.model.num_classes = num_labels
    bert = config.model.encoder.bert
    bert.vocab_size, bert.hidden_size = shape["vocab_size"], shape["hidden_size"]
    bert.num_layers, bert.num_attention_heads = shape["num_hidden_layers"], shape["num_attention_heads"]
    bert.intermediate_size, bert.max_position_embeddings = shape["intermediate_size"], shape["max_position_embeddings"]
    bert.type_vocab_size = shape["type_vocab_size"]
    return SentencePredictionTask(config)


def main() -> None:
    """Measures."""
    arguments = make_parser(__doc__).parse_args()
    report = Report()
    if arguments.best:
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    tokens = dict(np.load(arguments.tokens))
    training = arguments.mode == "train"
    size = arguments.batch_size if training else PREDICT_BATCH
    batches = plan_steps(tokens["lengths"], size, False, arguments.steps, arguments.seed)
    task = make_task(arguments.weights, int(tokens["labels"].max()) + 1)
    model = task.build_model()
    polynomial = {"initial_learning_rate": arguments.learning_rate, "decay_steps": 1000}
    settings = {"optimizer": {"type": "adamw"}, "learning_rate": {"type": "polynomial", "polynomial": polynomial}}
    optimizer = task.create_optimizer(optimization.OptimizationConfig(settings))

    @tf.function
    def compute(features: dict[str, tf.Tensor]) -> object:
        if training:
            return task.train_step(features, model, optimizer)
        return task.inference_step(features, model)

    def step(batch: np.ndarray) -> None:
        padded = pad(tokens, batch, arguments.max_length, np.int32)
        names = {"ids": "input_word_ids", "types": "input_type_ids", "mask": "input_mask"}
        features = {names[name]: tf.constant(values) for name, values in padded.items()}
        labels = tf.constant(tokens["labels"][batch].astype(np.int32))
        np.asarray(compute(features | {"label_ids": labels})["loss"] if training else compute(features))

    report.run(batches, step)
    report.print(f"tensorflow {tf.__version__} with Model Garden")


if __name__ == "__main__":
    main()
