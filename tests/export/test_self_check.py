import dataclasses

import numpy as np
import pytest

from easymft.errors import ExportError
from easymft.export.self_check import check_reloaded, probe_texts


def test_probes_are_cut_and_empty(single_model, pair_model):
    (texts,) = probe_texts(single_model)
    lengths = single_model.preprocessor.tokenize(texts)[0].row_lengths().numpy()
    assert lengths.min() == 2 and lengths.max() == single_model.preprocessor.max_sequence_length
    first, second = probe_texts(pair_model)
    assert len(first) == len(second) and "" in first and "" in second


def test_passes_what_was_saved(exported_single, single_model):
    assert check_reloaded(exported_single.path, single_model).largest_difference < 1e-5


@pytest.mark.parametrize("change", [1e-3, np.nan])
def test_other_weights_are_noticed(exported_single, single_model, change):
    bias = single_model.classifier.head.bias
    before = bias.numpy()
    bias.assign_add([change, 0.0, 0.0])
    try:
        with pytest.raises(ExportError, match=r"serving_default: probabilities .* differs by \S+ from the model"):
            check_reloaded(exported_single.path, single_model)
    finally:
        bias.assign(before)


def test_other_labels_are_noticed(exported_single, single_model):
    model = dataclasses.replace(single_model, labels=single_model.labels[::-1])
    with pytest.raises(ExportError, match="serving_default answers labels"):
        check_reloaded(exported_single.path, model)


def test_other_embeddings_are_noticed(exported_single, single_model):
    with pytest.raises(ExportError, match="signature embeddings: embedding"):
        check_reloaded(exported_single.path, dataclasses.replace(single_model, embedding="pooled"))


def test_damage_is_noticed(tmp_path, single_model):
    with pytest.raises(ExportError, match="does not load or run"):
        check_reloaded(tmp_path, single_model)
