"""The one table of an encoder's weights: each variable's name and layout in every format that EasyMFT reads."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from easymft.modeling.encoder_config import EncoderConfig

Format = Literal["huggingface", "tf1", "tf2"]
FORMATS: tuple[Format, ...] = ("huggingface", "tf1", "tf2")


@dataclasses.dataclass(frozen=True)
class WeightRow:
    """One variable in all formats.

    Attributes:
        tf2: The variable's path among the encoder's attributes, which is its name in a Model Garden TF2 checkpoint too.
        huggingface: Its name in a safetensors file, without the prefix `bert.`.
        tf1: Its name in Google's TF1 checkpoints, without the prefix `bert/`.
        dims: The variable's axes, by the letters of `axis_sizes`.
        flatten: How attention variables, split by head in TF2, become a matrix or vector elsewhere: "heads_last" joins
            the last two axes ([d, heads, size] -> [d, heads * size]), "heads_first" the first two.
        transposed: The formats that store the matrix as [output, input].
    """

    tf2: str
    huggingface: str
    tf1: str
    dims: str
    flatten: Literal["none", "heads_first", "heads_last"] = "none"
    transposed: tuple[Format, ...] = ()

    def name(self, file_format: Format) -> str:
        """Returns the variable's name in `file_format`, without a prefix."""
        return getattr(self, file_format)

    def shape(self, config: EncoderConfig) -> tuple[int, ...]:
        """Returns the variable's shape in an encoder of `config`."""
        sizes = axis_sizes(config)
        return tuple(sizes[axis] for axis in self.dims)

    def stored_shape(self, shape: tuple[int, ...], file_format: Format) -> tuple[int, ...]:
        """Returns the shape in a file of `file_format` of a variable of the given shape."""
        if file_format == "tf2":
            return shape
        if self.flatten == "heads_last":
            shape = (*shape[:-2], shape[-2] * shape[-1])
        elif self.flatten == "heads_first":
            shape = (shape[0] * shape[1], *shape[2:])
        return shape[::-1] if file_format in self.transposed else shape

    def to_stored(self, value: np.ndarray, file_format: Format) -> np.ndarray:
        """Lays a variable's value out as `file_format` stores it (float32, contiguous)."""
        transposed = file_format in self.transposed
        shape = self.stored_shape(value.shape, file_format)
        matrix = value.reshape(shape[::-1] if transposed else shape)
        return np.ascontiguousarray(matrix.T if transposed else matrix, dtype=np.float32)

    def from_stored(self, stored: np.ndarray, shape: tuple[int, ...], file_format: Format) -> np.ndarray:
        """Lays a tensor of a `file_format` file out as a variable of `shape` (float32); undoes `to_stored`."""
        matrix = stored.T if file_format in self.transposed else stored
        return np.ascontiguousarray(matrix, dtype=np.float32).reshape(shape)


def axis_sizes(config: EncoderConfig) -> dict[str, int]:
    """Letter of an axis -> its length: v tokens, p positions, t types, d width, h heads, s of a head, i inner width."""
    heads, width = config.num_attention_heads, config.hidden_size
    tables = {"v": config.vocab_size, "p": config.max_position_embeddings, "t": config.type_vocab_size}
    return tables | {"d": width, "h": heads, "s": width // heads, "i": config.intermediate_size}


def _pair(
    tf2: str, huggingface: str, tf1: str, dims: str, flatten: Literal["none", "heads_first", "heads_last"] = "none"
):
    """Rows of the kernel and bias of a dense layer; the output projection's bias has no heads to join."""
    bias_flatten = "heads_last" if flatten == "heads_last" else "none"
    bias_dims = dims[1:] if flatten == "heads_last" else dims[-1]
    return (
        WeightRow(f"{tf2}/kernel", f"{huggingface}.weight", f"{tf1}/kernel", dims, flatten, ("huggingface",)),
        WeightRow(f"{tf2}/bias", f"{huggingface}.bias", f"{tf1}/bias", bias_dims, bias_flatten),
    )


def _norm(tf2: str, huggingface: str, tf1: str) -> tuple[WeightRow, ...]:
    """Rows of a layer normalisation."""
    return (
        WeightRow(f"{tf2}/gamma", f"{huggingface}.weight", f"{tf1}/gamma", "d"),
        WeightRow(f"{tf2}/beta", f"{huggingface}.bias", f"{tf1}/beta", "d"),
    )


_EMBEDDINGS = (
    WeightRow("_embedding_layer/embeddings", "embeddings.word_embeddings.weight", "embeddings/word_embeddings", "vd"),
    WeightRow(
        "_position_embedding_layer/embeddings",
        "embeddings.position_embeddings.weight",
        "embeddings/position_embeddings",
        "pd",
    ),
    WeightRow(
        "_type_embedding_layer/embeddings",
        "embeddings.token_type_embeddings.weight",
        "embeddings/token_type_embeddings",
        "td",
    ),
    *_norm("_embedding_norm_layer", "embeddings.LayerNorm", "embeddings/LayerNorm"),
)

# {i} is the layer's number, from 0.
_LAYER = (
    *_pair("_attention_layer/_query_dense", "attention.self.query", "attention/self/query", "dhs", "heads_last"),
    *_pair("_attention_layer/_key_dense", "attention.self.key", "attention/self/key", "dhs", "heads_last"),
    *_pair("_attention_layer/_value_dense", "attention.self.value", "attention/self/value", "dhs", "heads_last"),
    *_pair("_attention_layer/_output_dense", "attention.output.dense", "attention/output/dense", "hsd", "heads_first"),
    *_norm("_attention_layer_norm", "attention.output.LayerNorm", "attention/output/LayerNorm"),
    *_pair("_intermediate_dense", "intermediate.dense", "intermediate/dense", "di"),
    *_pair("_output_dense", "output.dense", "output/dense", "id"),
    *_norm("_output_layer_norm", "output.LayerNorm", "output/LayerNorm"),
)

POOLER = _pair("_pooler_layer", "pooler.dense", "pooler/dense", "dd")

# The classifier on the pooled output, kernel [d, M]; these names have no prefix. TF1's are those of run_classifier.py.
HEAD_KERNEL = WeightRow(
    "classifier/kernel", "classifier.weight", "output_weights", "dm", "none", ("huggingface", "tf1")
)
HEAD_BIAS = WeightRow("classifier/bias", "classifier.bias", "output_bias", "m")


def weight_rows(num_layers: int, pooler: bool = True) -> Iterator[WeightRow]:
    """Yields the rows of all variables of an encoder with `num_layers` layers, embeddings first, pooler last or not."""
    yield from _EMBEDDINGS
    for i in range(num_layers):
        for row in _LAYER:
            yield dataclasses.replace(
                row,
                tf2=f"_transformer_layers/{i}/{row.tf2}",
                huggingface=f"encoder.layer.{i}.{row.huggingface}",
                tf1=f"encoder/layer_{i}/{row.tf1}",
            )
    if pooler:
        yield from POOLER


def get_variable(encoder: Any, row: WeightRow) -> Any:
    """Returns the variable of `encoder` (a BertEncoderV2) that `row` describes."""
    layer = encoder
    *parents, name = row.tf2.split("/")
    for part in parents:
        layer = layer[int(part)] if part.isdigit() else getattr(layer, part)
    # A layer's attribute may be called otherwise than its variable; checkpoints know the variable's name.
    return next(variable for variable in layer.weights if variable.name.split("/")[-1].split(":")[0] == name)
