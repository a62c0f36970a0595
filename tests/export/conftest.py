"""Classifiers on the tiny BERT of tests/golden, exported once for all tests of this folder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easymft.config.schema import ModelConfig
from easymft.data.text_preprocessor import TextPreprocessor
from easymft.export.saved_model import export_saved_model
from easymft.export.serving_model import ServingModel
from easymft.model_zoo.pretrained import load_pretrained
from easymft.modeling.classifier import TextClassifier

TINY = Path(__file__).parent.parent / "golden" / "tiny_bert"
LENGTH = 12
LABELS = ("NEG", "POS", "weiß nicht")


@pytest.fixture(scope="session")
def single_model():
    pretrained = load_pretrained(ModelConfig(weights=str(TINY)), seed=0)
    classifier = TextClassifier(pretrained.encoder, width=pretrained.config.hidden_size, num_labels=len(LABELS), seed=0)
    # Far from even, so that a wrong class or order cannot pass.
    kernel = np.random.default_rng(0).normal(0.0, 2.0, classifier.head.kernel.shape)
    classifier.set_head(kernel.astype(np.float32), np.array([0.3, -0.2, 0.1], np.float32))
    preprocessor = TextPreprocessor(pretrained.vocabulary, LENGTH)
    return ServingModel(classifier, preprocessor, LABELS, pair=False, embedding="token_mean", domain="books")


@pytest.fixture(scope="session")
def pair_model(single_model):
    return dataclasses.replace(single_model, pair=True, embedding=None, domain=None, padded_length=LENGTH)


@pytest.fixture(scope="session")
def exported_single(single_model, tmp_path_factory):
    return export_saved_model(tmp_path_factory.mktemp("single"), 3, single_model)


@pytest.fixture(scope="session")
def exported_pair(pair_model, tmp_path_factory):
    return export_saved_model(tmp_path_factory.mktemp("pair") / "not yet there", 1, pair_model)


@pytest.fixture(scope="session")
def single(exported_single):
    return tf.saved_model.load(str(exported_single.path))


@pytest.fixture(scope="session")
def pair(exported_pair):
    return tf.saved_model.load(str(exported_pair.path))
