"""Shared fixtures. The test process runs on two logical CPUs, so that a test can try two replicas."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from easymft.mft.loss import MetaFineTuningLoss
from easymft.mft.model import MetaFineTuner
from easymft.modeling.classifier import TextClassifier
from easymft.modeling.encoder import build_encoder
from easymft.modeling.encoder_config import EncoderConfig
from easymft.training.strategy import keep_arithmetic, mirrored_strategy

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
keep_arithmetic()


@pytest.fixture
def two_replicas():
    """The strategy of the test process for two replicas: there can be one only."""
    return mirrored_strategy(*(device.name for device in tf.config.list_logical_devices("CPU")))


@pytest.fixture
def make_classifier():
    """A small classifier; the same weights for the same seed."""

    def make(seed=0, num_labels=3, dropout=0.0, num_layers=2, compute_dtype="float32", pack_tokens=True, **head):
        tf_keras.backend.experimental.enable_tf_random_generator()
        tf_keras.utils.set_random_seed(seed)
        config = EncoderConfig(
            vocab_size=50,
            hidden_size=16,
            num_layers=num_layers,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
            type_vocab_size=2,
            activation="gelu",
            dropout=dropout,
            attention_dropout=dropout,
        )
        encoder = build_encoder(config, compute_dtype, pack_tokens)
        generator = np.random.default_rng(seed)
        for variable in encoder.trainable_variables:
            variable.assign(variable + generator.normal(0, 0.1, variable.shape).astype(np.float32))
        return TextClassifier(encoder, width=16, num_labels=num_labels, head_dropout=dropout, seed=seed, **head)

    return make


@pytest.fixture
def make_finetuner(make_classifier):
    """A small meta fine-tuner over 4 domains."""

    def make(seed=0, domain_loss_weight=0.1, normalization="examples", dropout=0.0, num_domains=4, **options):
        classifier = make_classifier(seed, dropout=dropout)
        loss = MetaFineTuningLoss(domain_loss_weight, normalization)
        return MetaFineTuner(classifier, num_domains=num_domains, width=16, layers=[0, 1], loss=loss, seed=0, **options)

    return make


@pytest.fixture
def make_features():
    """A batch of random features with padding."""

    def make(count=8, length=10, seed=0, num_domains=4):
        generator = np.random.default_rng(seed)
        mask = (np.arange(length) < generator.integers(3, length + 1, [count, 1])).astype(np.int32)
        return {
            "input_word_ids": tf.constant(generator.integers(1, 50, [count, length]) * mask, tf.int32),
            "input_mask": tf.constant(mask),
            "input_type_ids": tf.zeros([count, length], tf.int32),
            "label": tf.constant(generator.integers(0, 3, count), tf.int32),
            "domain": tf.constant(generator.integers(0, num_domains, count), tf.int32),
            "weight": tf.ones([count]),
            "typicality": tf.constant(generator.uniform(0.3, 1.0, count), tf.float32),
        }

    return make
