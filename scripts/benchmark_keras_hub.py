"""KerasHub's BERT text classifier on TensorFlow, for scripts/benchmark.py; needs keras_hub, but not EasyMFT.

As its preprocessor does, every row is padded to the maximum. The weights are random, which takes no other time.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import keras_hub
import numpy as np
from benchmark_tokens import PREDICT_BATCH, Report, make_parser, pad, plan_steps


def main() -> None:
    """Measures."""
    arguments = make_parser(__doc__).parse_args()
    report = Report()
    if arguments.best:
        keras.config.set_dtype_policy("mixed_bfloat16")
    tokens = dict(np.load(arguments.tokens))
    training = arguments.mode == "train"
    size = arguments.batch_size if training else PREDICT_BATCH
    batches = plan_steps(tokens["lengths"], size, False, arguments.steps, arguments.seed)
    shape = json.loads((Path(arguments.weights) / "config.json").read_text())
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=shape["vocab_size"],
        num_layers=shape["num_hidden_layers"],
        num_heads=shape["num_attention_heads"],
        hidden_dim=shape["hidden_size"],
        intermediate_dim=shape["intermediate_size"],
        max_sequence_length=shape["max_position_embeddings"],
    )
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=int(tokens["labels"].max()) + 1)
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.AdamW(arguments.learning_rate, global_clipnorm=1.0),
        jit_compile=False,  # XLA is several times slower on a CPU
    )

    def step(batch: np.ndarray) -> None:
        padded = pad(tokens, batch, arguments.max_length, np.int32)
        names = {"ids": "token_ids", "types": "segment_ids", "mask": "padding_mask"}
        features = {names[name]: values for name, values in padded.items()}
        if training:
            model.train_on_batch(features, tokens["labels"][batch])
        else:
            model.predict_on_batch(features)

    report.run(batches, step)
    report.print(f"keras_hub {keras_hub.__version__}, keras {keras.__version__} on TensorFlow")


if __name__ == "__main__":
    main()
