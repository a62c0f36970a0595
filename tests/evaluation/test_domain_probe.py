import numpy as np
import pytest

from easymft.errors import DataError
from easymft.evaluation.domain_probe import draw_probes, probe_domains
from easymft.evaluation.plots import save_figure

NOISE, FAINT, CLEAR = 0.0, 0.3, 2.0


def make_states(strengths, texts=300, domains=3, width=8):
    """States that give the domain away along one direction each, as strongly as said of each layer."""
    draw = np.random.default_rng(0)
    domain_ids = np.arange(texts) % domains
    directions = draw.normal(size=(domains, width))
    layers = [draw.normal(size=(texts, width)) + strength * directions[domain_ids] for strength in strengths]
    return np.stack(layers, 1).astype(np.float32), domain_ids


def test_a_probe_tells_layers_with_evidence_from_those_without():
    states, domain_ids = make_states([NOISE, FAINT, CLEAR])
    noise, faint, clear = probe_domains(states, domain_ids, seed=0)
    assert abs(noise.mean - 1 / 3) < 0.09 and clear.mean > 0.9 and noise.mean < faint.mean < clear.mean
    assert 0.0 < noise.deviation < 0.15


def test_it_is_a_function_of_the_seed_and_of_no_scale():
    states, domain_ids = make_states([FAINT])
    one, same, scaled = (probe_domains(part, domain_ids, seed=1) for part in (states, states, states * 100.0))
    assert one == same and one[0].mean == pytest.approx(scaled[0].mean)
    assert probe_domains(states, domain_ids, seed=2) != one


@pytest.mark.parametrize("domain_ids", [[0] * 20, [0] * 17 + [1] * 3])
def test_what_cannot_be_probed_is_refused(domain_ids):
    states, _ = make_states([CLEAR], texts=20)
    with pytest.raises(DataError, match="expected at least 2 domains of at least 5 texts each"):
        probe_domains(states, np.array(domain_ids), seed=0)


def test_the_picture_has_a_line_for_each_model(tmp_path):
    states, domain_ids = make_states([NOISE, CLEAR])
    scores = probe_domains(states, domain_ids, seed=0)
    figure = draw_probes({"before": scores, "after": scores[::-1]}, chance=1 / 3)
    [axes] = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["before"], [100 * one.mean for one in scores])
    np.testing.assert_allclose(lines["after"], lines["before"][::-1])
    save_figure(figure, tmp_path / "probe.png")
    assert (tmp_path / "probe.png").read_bytes()[:4] == b"\x89PNG"
