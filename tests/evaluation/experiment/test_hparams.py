from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from easymft.evaluation.experiment.hparams import HPARAMS, write_hparams


def shown(folder):
    """What TensorBoard's own backend reads: (hparams, metrics) of each session, and what can be filtered by."""
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(logdir=str(folder), multiplexer=multiplexer, data_provider=provider))
    experiment = context.experiment_from_metadata(
        RequestContext(),
        "",
        include_metrics=True,
        hparams_run_to_tag_to_content=context.hparams_metadata(RequestContext(), ""),
        data_provider_hparams=[],
    )
    columns = [api_pb2.ColParams(hparam=info.name, include_in_result=True) for info in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=info.name, include_in_result=True) for info in experiment.metric_infos]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        col_params=columns,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN],
        aggregation_type=api_pb2.AGGREGATION_AVG,
        include_metrics=True,
    )
    handler = list_session_groups.Handler(RequestContext(), context, "", request)
    groups = handler.run().session_groups
    rows = []
    for group in groups:
        hparams = {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        metrics = {value.name.tag: value.value for value in group.metric_values}
        rows.append((group.name, hparams, metrics, len(group.sessions)))
    infos = {info.name: [value for value in info.domain_discrete] for info in experiment.hparam_infos}
    return sorted(rows, key=str), infos, {info.name.tag: info.display_name for info in experiment.metric_infos}


def test_tensorboard_shows_each_cell(tmp_path, make_cell):
    cells = [make_cell("mix", "a/b", seed, dev=0.5 + seed / 8, correct="01", amount="8 per class") for seed in (1, 2)]
    write_hparams(tmp_path / "hparams", cells)
    rows, infos, metrics = shown(tmp_path / "hparams")
    assert metrics == {"dev/accuracy": "dev accuracy", "test/accuracy": "test accuracy"}
    assert sorted(infos) == sorted(HPARAMS) and infos["domain"] == ["a/b"] and infos["seed"] == [1, 2]
    name, hparams, values, sessions = rows[0]
    assert (name, sessions, len(rows)) == ("mix / full / 8 per class / a/b / 1 / 0.0001", 1, 2)
    expected = {"method": "mix", "setting": "full", "amount": "8 per class", "domain": "a/b", "seed": 1}
    assert hparams == {**expected, "learning_rate": pytest.approx(1e-4)}
    assert values == {"dev/accuracy": 0.625, "test/accuracy": 0.5}


def test_again_is_the_same_and_gone_cells_are_gone(tmp_path, make_cell):
    cells = [make_cell("mix"), make_cell("dc"), make_cell("dc", learning_rate=1e-3)]
    write_hparams(tmp_path / "hparams", cells)
    before = shown(tmp_path / "hparams")
    write_hparams(tmp_path / "hparams", cells)
    assert shown(tmp_path / "hparams") == before and len(before[0]) == 3
    write_hparams(tmp_path / "hparams", cells[:1])
    assert [row[1]["method"] for row in shown(tmp_path / "hparams")[0]] == ["mix"]
    assert [path.name for path in tmp_path.iterdir()] == ["hparams"]


def test_a_failure_leaves_what_was_there(tmp_path, make_cell):
    cell = make_cell()
    write_hparams(tmp_path / "hparams", [cell])
    before = shown(tmp_path / "hparams")
    broken = SimpleNamespace(**{name: getattr(cell, name) for name in HPARAMS}, key=("broken",))
    with pytest.raises(AttributeError, match="dev"):
        write_hparams(tmp_path / "hparams", [cell, broken])
    assert shown(tmp_path / "hparams") == before
    assert [path.name for path in tmp_path.iterdir()] == ["hparams"]
