"""What runtime.precision: auto means on which machine."""

import pytest
import tensorflow as tf

from easymft.training import strategy


def pretend(monkeypatch, flags=(), capabilities=()):
    monkeypatch.setattr(strategy, "_cpu_flags", lambda: set(flags))
    gpus = [f"gpu {number}" for number, _ in enumerate(capabilities)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus if kind == "GPU" else ["cpu"])
    details = dict(zip(gpus, capabilities, strict=True))
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": details[gpu]}
    )


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ({}, "float32"),
        ({"flags": ["avx512f"]}, "float32"),
        ({"flags": ["avx512f", "avx512_bf16"]}, "mixed_bfloat16"),
        ({"flags": ["amx_bf16"]}, "mixed_bfloat16"),
        ({"capabilities": [(8, 0)]}, "mixed_bfloat16"),
        ({"capabilities": [(9, 0), (7, 5)]}, "mixed_float16"),
        ({"capabilities": [(6, 1)], "flags": ["amx_bf16"]}, "float32"),
    ],
)
def test_auto(monkeypatch, machine, expected):
    pretend(monkeypatch, **machine)
    assert strategy.resolve_precision("auto") == expected


@pytest.mark.parametrize("precision", list(strategy.COMPUTE_DTYPES))
def test_what_is_asked_for_stays(monkeypatch, precision):
    pretend(monkeypatch, flags=["amx_bf16"])
    assert strategy.resolve_precision(precision) == precision


def test_flags_of_this_machine():
    assert isinstance(strategy._cpu_flags(), set)
