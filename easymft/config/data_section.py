"""The settings of the section `data`: files, their format, and which of their rows are used."""

from typing import Annotated, Literal

from pydantic import Field

from easymft.config.section import Column, FileList, Name, PositiveInt, Section, Target


class ColumnsConfig(Section):
    """Where each field of an example stands: a column's name, or its number counted from 0."""

    text: Column = Field("text", description="The text, or the first text of a pair.")
    text_pair: Column | None = Field(None, description="The second text; text_matching only.")
    domain: Column | None = Field(None, description="The domain. Without it all rows are of one unnamed domain.")
    label: Column | None = Field(None, description="The class. Not needed to predict.")
    weight: Column | None = Field(None, description="The user's own weight of the example, at least 0.")
    id: Column | None = Field(None, description="An identifier; kept in outputs.")
    typicality: Column | None = Field(None, description="Typicality scores, as written by --mode typicality.")


class SubsetConfig(Section):
    """Training on few examples, or without a domain, while the files stay as they are."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None, description="Train on this share of each domain and class, rounded up; a larger one holds a smaller."
    )
    examples_per_class: PositiveInt | None = Field(None, description="Train on so many of each domain and class.")
    dev_examples_per_class: PositiveInt | None = Field(
        None, description="Choose the best checkpoint by so many of each domain and class. null: by all dev rows."
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(42, description="Which they are.")
    exclude_domains: list[Name] = Field(
        [], description="Train without these domains, and choose the best checkpoint without them."
    )


class DataConfig(Section):
    """Files, their format, and how their texts become token ids."""

    train_files: FileList = Field([], description="Files or globs to train on, or to score in --mode typicality.")
    dev_files: FileList = Field([], description="Files or globs that choose the best checkpoint.")
    test_files: FileList = Field([], description="Files or globs to measure on, after training and later.")
    format: Literal["auto", "tsv", "csv", "jsonl", "parquet", "xlsx"] = Field(
        "auto",
        description="auto: by the file's ending (.tsv .csv .jsonl .ndjson .json .parquet .xlsx; text also with "
        ".gz .bz2 .xz .zst), else tsv or jsonl if its first line looks like it.",
    )
    encoding: str | None = Field(
        None,
        description='Of tsv, csv and jsonl, such as "cp1252". null: UTF-8. What a byte order mark says comes first.',
    )
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None,
        description="One character between the fields of tsv and csv. null: a tab in tsv; in csv the one of , ; | and "
        "tab that its first rows show.",
    )
    sheet: str | None = Field(None, description="Name of the sheet of Excel files. null: the first.")
    columns: ColumnsConfig = ColumnsConfig()
    column_names: list[Name] | None = Field(None, description="The names of all columns of files without a header.")
    header: bool | None = Field(
        None,
        description="Whether the first line holds names. null: true unless column_names or numbers are given.",
    )
    quoting: bool | None = Field(None, description='Whether " quotes fields. null: true for csv, false for tsv.')
    strip_whitespace: bool = Field(
        False,
        description="Remove white space around fields; otherwise it is an error around a label, domain or column name.",
    )
    labels: list[Name] | None = Field(
        None, description="The classes in order. null: the sorted labels of the train files."
    )
    domains: list[Name] | None = Field(
        None, description="The domains in order. null: the sorted ones of the train files."
    )
    bad_rows: Literal["stop", "skip"] = Field(
        "stop",
        description="skip: count bad rows, list them in skipped_rows_<split>.tsv, go on without them.",
    )
    bad_row_limit: PositiveInt = Field(20, description="How many bad rows a message lists at most.")
    max_sequence_length: Annotated[int, Field(ge=4)] = Field(128, description="Tokens, [CLS] and [SEP] included.")
    truncation_tie: Literal["first", "second"] | None = Field(
        None, description="Which text of a pair loses a token when both are equally long. Preset; paper: first."
    )
    padding: Literal["longest", "max_length"] | None = Field(
        None, description="Pad a batch to its longest row, or always to max_sequence_length. Preset; paper: longest."
    )
    group_by_length: bool | None = Field(
        None, description="Put rows of like length into a batch. Preset; paper: true (false with padding max_length)."
    )
    subset: SubsetConfig = SubsetConfig()
    cache_folder: Target | None = Field(None, description="Where token ids are cached. null: <output_folder>/cache.")
