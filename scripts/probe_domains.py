r"""How much evidence of the domain each layer holds, before and after training: a linear probe on frozen states.

    python scripts/probe_domains.py --config configs/amazon/meta_tune.json --output runs/probe \
        --models base=all-minilm-l6-v2 mft=runs/amazon/meta_tune

Reads the config's dev file, which no model was trained on. Writes probe.md, probe.json and probe.png.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from app_zoo.inputs import load_tokens, padded_length
from app_zoo.registry import resolve_application
from easymft.config.loading import load_config
from easymft.errors import EasyMFTError
from easymft.evaluation.domain_probe import ProbeScore, draw_probes, probe_domains
from easymft.evaluation.plots import save_figure
from easymft.files import replacing
from easymft.training.scoring import LayerEmbedder, embed_dataset


def probe(config_file: Path, weights: str, settings: list[str]) -> tuple[list[ProbeScore], float]:
    """The scores of one model's layers, and the share of the largest domain."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*settings, f"model.weights={json.dumps(weights)}", f"output_folder={json.dumps(folder)}"]
        config = load_config(config_file, overrides, mode="typicality")
        app = resolve_application(config.application)(config)
        maps = app.infer_maps()
        pretrained = app.load_encoder(config.model)
        tokens = load_tokens(app, "dev", maps, pretrained.vocabulary)
        states = embed_dataset(
            LayerEmbedder(pretrained.encoder),
            tokens,
            Path(folder) / "states.npy",
            batch_size=config.mft.typicality.batch_size,
            padded_length=padded_length(app),
            strategy=app.strategy,
            progress=config.runtime.progress,
        )
        states = states.reshape(tokens.num_examples, pretrained.config.num_layers, -1)
        largest = np.bincount(tokens.domain_ids).max() / tokens.num_examples
        return probe_domains(states, tokens.domain_ids, seed=config.runtime.seed), float(largest)


def table(scores: dict[str, list[ProbeScore]], chance: float) -> str:
    """The scores as Markdown, a row for each model."""
    layers = range(max(map(len, scores.values())))
    lines = ["| domain told from layer, % | " + " | ".join(map(str, layers)) + " |", "|---|" + "---:|" * len(layers)]
    for name, row in scores.items():
        cells = [f"{100 * one.mean:.1f} ± {100 * one.deviation:.1f}" for one in row]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    note = f"Mean and standard deviation over the folds; the largest domain has {chance:.1%} of the texts."
    return "\n".join([*lines, "", note, ""])


def main() -> None:
    """Probes every model and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=WEIGHTS", help="as model.weights has them")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    models = dict(one.split("=", 1) for one in arguments.models)
    scores: dict[str, list[ProbeScore]] = {}
    try:
        for name, weights in models.items():
            scores[name], chance = probe(arguments.config, weights, arguments.set)
    except EasyMFTError as error:
        parser.exit(2, f"{error}\n")
    text = table(scores, chance)
    arguments.output.mkdir(parents=True, exist_ok=True)
    save_figure(draw_probes(scores, chance), arguments.output / "probe.png")
    for file, content in (
        ("probe.md", text),
        ("probe.json", json.dumps({name: [asdict(one) for one in row] for name, row in scores.items()}, indent=2)),
    ):
        with replacing(arguments.output / file) as part:
            part.write_text(content, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
