"""The settings of an EasyMFT run: one class for each section of the JSON config.

A value of null in a field that a preset decides means "as the preset says"; `easymft.config.presets.resolve_presets`
fills it in, and the config written into a run's folder holds no such null.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from easymft.config.data_section import DataConfig
from easymft.config.section import FileList, Fraction, Name, PositiveInt, Section, Target, expand_home


class EncoderShape(Section):
    """The shape of a BERT encoder made from nothing (initialization: random)."""

    vocab_size: PositiveInt
    hidden_size: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_attention_heads: PositiveInt = 12
    intermediate_size: PositiveInt = 3072
    max_position_embeddings: PositiveInt = 512
    type_vocab_size: PositiveInt = 2
    activation: Literal["gelu", "gelu_approximate"] = "gelu"


class ModelConfig(Section):
    """Where the encoder comes from, and the classifier on top of it."""

    weights: Annotated[str, AfterValidator(expand_home)] | None = Field(
        None,
        description="A short name (all-minilm-l6-v2), a Hugging Face folder or name, a TF1 or TF2 BERT checkpoint, "
        "or the output folder of an EasyMFT run.",
    )
    weights_format: Literal["auto", "run", "huggingface", "tf1", "tf2", "name"] = "auto"
    cache_folder: Target | None = Field(
        None,
        description="Where weights of a short name are kept. null: easymft in $XDG_CACHE_HOME or else in ~/.cache.",
    )
    initialization: Literal["weights", "random"] = Field(
        "weights", description="random: an untrained encoder. Never chosen by itself."
    )
    encoder: EncoderShape | None = Field(None, description="For initialization: random without a weights folder.")
    vocabulary_file: Target | None = Field(None, description="A WordPiece vocab.txt. null: the one beside the weights.")
    lower_case: bool | None = Field(None, description="null: as the weights' tokenizer says.")
    activation: Literal["gelu", "gelu_approximate"] | None = Field(
        None, description="null: the preset's (easytransfer: gelu_approximate), else as the weights' config says."
    )
    dropout: Fraction | None = Field(
        None,
        description="After embeddings, attention and feed-forward outputs. null: as the weights' config says, 0.1 as a "
        "rule.",
    )
    attention_dropout: Fraction | None = Field(None, description="On attention probabilities. null: likewise.")
    pooling: Literal["pooled", "token_mean"] | None = Field(
        None,
        description="What the classifier reads: the pooled [CLS], or the mean of the last layer's real tokens, which "
        "needs fewer steps where the weights were made for that. Preset; all: pooled.",
    )
    head_dropout: Fraction = Field(0.1, description="On what the classifier head reads.")
    head: Literal["auto", "fresh", "transfer"] = Field(
        "auto",
        description="A new classifier head, or the weights' own. auto: their own if it has the same classes and "
        "pooling, else a new one.",
    )


class TypicalityConfig(Section):
    """How typical an example is for its class (docs/methods.md 1.1)."""

    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.5, description="Weight of the in-domain cosine.")
    embedding: Literal["token_mean", "pooled"] | None = Field(
        None, description="E(x): mask-aware mean of the last layer, or the pooled [CLS]. Preset; paper: token_mean."
    )
    out_of_domain: Literal["mean_of_cosines", "cosine_to_mean"] | None = Field(
        None, description="Preset; paper: mean_of_cosines, easytransfer: cosine_to_mean."
    )
    center: bool = Field(False, description="Subtract the global mean of E before the cosine.")
    whiten: bool = Field(False, description="PCA-whiten E (and centre it) before the cosine.")
    whitening_epsilon: Annotated[float, Field(gt=0.0)] = Field(1e-5, description="Added to the eigenvalues.")
    rescale_to_mean_1: bool = Field(False, description="Divide the scores by their mean.")
    permute: bool = Field(
        False, description="A control: give the scores to other examples, at random (docs/methods.md 1.5, Random-t)."
    )
    decimals: Annotated[int, Field(ge=0, le=9)] | None = Field(
        None, description="Round the scores. Preset; easytransfer: 5, paper: null, full float32."
    )
    batch_size: PositiveInt = Field(64, description="Texts embedded at once.")


class MFTConfig(Section):
    """Meta fine-tuning: typicality weights and domain corruption (docs/methods.md 1)."""

    preset: Literal["paper", "easytransfer", "recommended"] = Field(
        "recommended", description="Decides every field that is null."
    )
    typicality: TypicalityConfig = TypicalityConfig()
    weighting: Literal["typicality", "none"] | None = Field(
        None, description="none: t = 1. Preset; recommended: none where nothing is said of typicality."
    )
    domain_loss_weight: Annotated[float, Field(ge=0.0)] | None = Field(
        None, description="lambda; 0: no corruption. Preset; recommended: 0 where nothing is said of it, paper: 0.1."
    )
    layers: list[int] | None = Field(
        None,
        description="0-based encoder layers of the corruption, negative from the end. null: every third, 2, 5, ...",
    )
    corruption: Literal["false_domain", "shuffle"] | None = Field(None, description="Preset; paper: false_domain.")
    domain_weighting: Literal["typicality", "none"] | None = Field(
        None, description="w_i of the domain loss. Preset; paper: typicality, easytransfer: none."
    )
    layer_pooling: Literal["real_tokens", "all_positions"] | None = Field(
        None, description="h_l(x): the mean without or with padding. Preset; paper: real_tokens."
    )
    domain_classifier: Literal["per_layer", "shared"] | None = Field(None, description="Preset; paper: per_layer.")
    normalization: Literal["examples", "nonzero_weights"] | None = Field(
        None, description="What the class loss is divided by. Preset; paper: examples, easytransfer: nonzero_weights."
    )


class BaselineConfig(Section):
    """What --mode meta_tune trains in place of meta fine-tuning, to compare it with (docs/methods.md 1.5)."""

    method: Literal["none", "adversarial", "multi_task"] = Field(
        "none",
        description="adversarial: a domain classifier behind gradient reversal on the pooled state. multi_task: a head "
        "for each domain, batches of one domain each. none: meta fine-tuning as the section mft says.",
    )
    adversarial_weight: Annotated[float, Field(gt=0.0)] = Field(
        1.0, description="What the strength of the reversed gradient rises to."
    )
    adversarial_gamma: Annotated[float, Field(gt=0.0)] = Field(
        10.0, description="How fast: weight * (2 / (1 + exp(-gamma * progress)) - 1)."
    )


class TrainConfig(Section):
    """Optimisation (docs/methods.md 1.4)."""

    domains: Literal["all", "union"] | list[Name] = Field(
        "all",
        description="finetune: a model for each domain, one on the union of all rows, or for each listed domain.",
    )
    epochs: PositiveInt = 2
    global_batch_size: PositiveInt = Field(32, description="Examples a step, over all replicas.")
    accumulation_steps: PositiveInt = Field(
        1, description="Compute each batch in so many parts, one after the other, to need less memory; the same update."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute each layer anew in the backward pass: less memory, about a third more time."
    )
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-5
    warmup_fraction: Fraction = Field(0.1, description="Share of the steps with a linearly rising rate.")
    schedule: Literal["linear", "easytransfer"] | None = Field(None, description="Preset; paper: linear.")
    optimizer: Literal["adamw", "adamw_easytransfer"] | None = Field(None, description="Preset; paper: adamw.")
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Annotated[float, Field(gt=0.0)] = 1e-6
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(0.01, description="Not on LayerNorm and biases.")
    clip_norm: Annotated[float, Field(gt=0.0)] | None = Field(
        1.0, description="Global gradient norm. null: no clipping."
    )
    clip_repeated_rows: Literal["summed", "separate"] | None = Field(
        None, description="How repeated rows of embedding gradients enter the norm. Preset; paper: summed."
    )
    epoch_batches: Literal["per_epoch", "continuous"] | None = Field(
        None, description="continuous: epochs run into one another, steps = int(N * epochs / batch) + 1. Preset."
    )
    max_steps: PositiveInt | None = Field(None, description="Stop early; the schedule still spans all steps.")
    monitor: Literal["accuracy", "macro_f1", "loss"] = Field(
        "accuracy", description="The dev metric of the best checkpoint."
    )
    average_domains: Fraction | None = Field(
        None,
        description="finetune of several domains: how far each domain's best weights are moved in the end towards the "
        "mean of all that the run tunes. 0: not; 1: one model for all. Preset; paper: 0, recommended: 0.5.",
    )
    early_stopping_patience: PositiveInt | None = Field(None, description="Epochs without a better dev metric.")
    checkpoint_every_steps: PositiveInt = Field(200, description="How often the state for resuming is written.")


class EvaluationConfig(Section):
    """Settings of --mode evaluate, and of the dev evaluation while training."""

    batch_size: PositiveInt = 64
    after_training: bool = Field(
        True, description="meta_tune and finetune: measure the best model on the dev and test files at the end."
    )
    metrics_file: Target | None = Field(
        None, description="null: metrics.json in output_folder; --mode evaluate: evaluation.json."
    )


class PredictionConfig(Section):
    """Settings of --mode predict."""

    input_files: FileList = Field([], description="Files or globs; labels are not needed.")
    output_file: Target | None = Field(
        None,
        description="A .csv, .tsv, .jsonl, .parquet or .xlsx file. null: predictions in output_folder, of the input's "
        "format.",
    )
    batch_size: PositiveInt = 64
    chunk_size: PositiveInt = Field(8192, description="Rows held in memory at once.")


class ExportConfig(Section):
    """Settings of --mode export."""

    folder: Target | None = Field(None, description="null: <output_folder>/saved_model.")
    version: PositiveInt = Field(1, description="The version folder that TF Serving looks for.")
    embeddings_signature: bool = Field(False, description="Also export text -> embedding.")


class ConvertConfig(Section):
    """Settings of --mode convert: write model.weights in another format."""

    format: Literal["huggingface", "tf1", "tf2"] = "huggingface"
    folder: Target | None = Field(None, description="null: <output_folder>/converted.")


BaselineName = Literal["single", "mix", "mtl", "adversarial", "two_stage", "two_stage_averaged", "random_typicality"]
TypicalityName = Literal["mft_full_centered", "mft_full_whitened", "mft_full_mean_1"]
MethodName = Literal[BaselineName, "mft_dc", "mft_tw", "mft_full", "mft_full_averaged", TypicalityName]
_METHODS = ["single", "mix", "mtl", "adversarial", "two_stage", "two_stage_averaged"]
_METHODS += ["mft_dc", "mft_tw", "mft_full", "mft_full_averaged", "random_typicality"]


class VariantConfig(Section):
    """A method that an experiment compares too: one of the methods, with some settings changed in all its stages."""

    method: MethodName = "mft_full"
    settings: dict[str, Any] = Field(
        {}, description='As --set has them: {"mft.domain_loss_weight": 1.0}; "mft.preset" decides all but the weights.'
    )
    finetune_settings: dict[str, Any] = Field(
        {}, description="Of the fine-tuning alone, so that the stage before it is shared with the method."
    )
    joint_epochs: PositiveInt | None = Field(None, description="null: the experiment's.")
    finetune_epochs: PositiveInt | None = Field(None, description="null: the experiment's.")


class ComparisonConfig(Section):
    """Settings of --mode experiment: methods x domains x amounts of data x seeds (docs/methods.md 1.5)."""

    methods: Annotated[list[MethodName], Field(min_length=1)] = Field(
        _METHODS,
        description="What is compared. Every method passes joint_epochs + finetune_epochs times over its examples.",
    )
    variants: dict[str, VariantConfig] = Field(
        {}, description="More methods: name -> method and changed settings. For sweeps and recipes."
    )
    domains: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None, description="Which are tested. null: all."
    )
    setting: Literal["full", "all_then_few", "few_both", "unseen_target"] = Field(
        "full",
        description="Where few labels are: nowhere (full), in fine-tuning alone (all_then_few), in both stages "
        "(few_both), or in a domain that the joint stage does not see (unseen_target).",
    )
    shares: list[Annotated[float, Field(gt=0.0, le=1.0)]] = Field([], description="Amounts: shares of rows by class.")
    examples_per_class: list[PositiveInt] = Field([], description="Amounts: rows of each domain and class.")
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)] = [42, 43, 44, 45, 46]
    learning_rates: Annotated[list[Annotated[float, Field(gt=0.0)]], Field(min_length=1)] = Field(
        [5e-5, 1e-4, 2e-4], description="Each method takes the one with the best mean dev accuracy."
    )
    selection_seeds: Annotated[list[int], Field(min_length=1)] | None = Field(
        None, description="The seeds that choose it, some of `seeds`. null: the first."
    )
    joint_epochs: PositiveInt = Field(2, description="Of the stage on all domains, where a method has both stages.")
    finetune_epochs: PositiveInt = Field(3, description="Of each domain's fine-tuning, likewise.")
    keep_models: bool = Field(False, description="Keep the trained models, none averaged: most of the space.")


class RuntimeConfig(Section):
    """Where and how a run computes."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    strategy: Literal["auto", "one_device", "mirrored"] = Field("auto", description="auto: mirrored on several GPUs.")
    logical_cpus: PositiveInt | None = Field(
        None, description="Split the CPU into this many devices, to try a strategy."
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto",
        description="Of matrix products; variables, sums and the loss are float32. auto: mixed_bfloat16 where the CPU "
        "or all GPUs multiply it faster, mixed_float16 on older GPUs that only multiply that faster, else float32.",
    )
    deterministic: bool = Field(False, description="Bit-equal repeats, at some cost in speed.")
    jit_compile: bool = Field(False, description="Compile the training step with XLA.")
    resume: bool = Field(True, description="Go on from the state in output_folder, if it is of the same config.")
    overwrite: bool = Field(
        False, description="Start anew in the folder of another run, which is kept as <folder>.old."
    )
    progress: bool = Field(True, description="Show progress bars.")


class AboutConfig(Section):
    """What a reader of the config should know; changes nothing."""

    description: str = ""
    command: str = ""
    result: str = ""


class ExperimentConfig(Section):
    """One EasyMFT config file."""

    about: AboutConfig = AboutConfig()
    application: Literal["text_classification", "text_matching"] = "text_classification"
    output_folder: Target
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    mft: MFTConfig = MFTConfig()
    baseline: BaselineConfig = BaselineConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    prediction: PredictionConfig = PredictionConfig()
    export: ExportConfig = ExportConfig()
    convert: ConvertConfig = ConvertConfig()
    experiment: ComparisonConfig = ComparisonConfig()
    runtime: RuntimeConfig = RuntimeConfig()
