"""What the scripts prepare_*.py write: the splits, a report of what became of the records, and a list of remarks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from prepare_common import Log, Record

from easymft.errors import DataError
from easymft.files import replacing

REPORT, REMARKS = "report.md", "remarks.tsv"
_REMARK_COLUMNS = ("file", "line", "name", "domain", "label", "fate", "remark", "detail")

Splits = Mapping[str, Sequence[Record]]


def check_output(folder: str, splits: Iterable[str], overwrite: bool) -> None:
    """Refuses to replace files unless `overwrite`.

    Raises:
        DataError: `folder` is a file, or holds one of the files already.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise DataError(f"{folder}: is a file, expected the name of a folder for --output")
    for name in (*(f"{split}.tsv" for split in splits), REPORT, REMARKS):
        if (target / name).exists() and not overwrite:
            raise DataError(f"{target / name}: is there already, expected another --output, or --overwrite")


def write_output(folder: str, splits: Splits, report: str, log: Log) -> None:
    """Writes <split>.tsv (rows in the order of their keys), the report and the remarks: all of them, or none.

    Raises:
        DataError: A split is empty, or a file cannot be written.
    """
    tables: dict[str, Iterable[tuple[str, ...]]] = {}
    for split, records in splits.items():
        if not records:
            raise DataError(f"{split}.tsv would have no rows, expected more records or other fractions")
        ordered = sorted(records, key=lambda record: (record.key, record.texts, record.label))
        tables[f"{split}.tsv"] = ((*record.texts, record.domain, record.label) for record in ordered)
    tables[REMARKS] = [_REMARK_COLUMNS, *sorted(log.remarks, key=lambda remark: (remark[0], int(remark[1]), remark))]
    try:
        with ExitStack() as stack:
            for name, rows in tables.items():
                part = stack.enter_context(replacing(Path(folder) / name))
                with open(part, "w", encoding="utf-8", newline="\n") as stream:
                    stream.writelines("\t".join(row) + "\n" for row in rows)
            stack.enter_context(replacing(Path(folder) / REPORT)).write_text(report, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from error


def render_report(title: str, settings: Mapping[str, object], splits: Splits, log: Log) -> str:
    """Returns the report as Markdown: settings, records by file, by domain and label, what was noted and not read.

    In each table, read = written (to all splits) + dropped (for all reasons).
    """
    told = [f"- {name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in settings.items()]
    parts = [f"# {title}", "\n".join(told), "## Records by file", _by_file(splits, log)]
    parts += ["## Records by domain and label", _by_cell(splits, log)]
    if log.noted:
        rows = [(*key, count) for key, count in sorted(log.noted.items())]
        parts += ["## Kept, but noted", _table(("remark", "domain", "label", "records"), rows)]
    if log.files_not_read:
        parts += ["## Files not read", "\n".join(f"- {name}" for name in log.files_not_read)]
    parts.append(f"Each record that was noted, or dropped other than for a smaller subset, is listed in {REMARKS}.")
    return "\n\n".join(parts) + "\n"


def told(folder: str, splits: Splits, log: Log) -> str:
    """Returns the line that a script ends with."""
    counts = ", ".join(f"{split}.tsv {len(records)}" for split, records in splits.items())
    dropped, read = log.dropped.total(), log.read.total()
    return f"{folder}: rows of {counts}; dropped {dropped} of {read} records, see {REPORT}"


def _by_file(splits: Splits, log: Log) -> str:
    written = Counter(record.file for records in splits.values() for record in records)
    dropped: Counter[str] = Counter()
    for (file, *_), count in log.dropped.items():
        dropped[file] += count
    rows = [(file, count, written[file], dropped[file]) for file, count in sorted(log.read.items())]
    return _table(("file", "read", "written", "dropped"), rows)


def _by_cell(splits: Splits, log: Log) -> str:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for split, records in splits.items():
        for record in records:
            counts.setdefault((record.domain, record.label), Counter())[f"{split}.tsv"] += 1
    reasons: dict[str, None] = {}
    for (_, reason, *cell), count in sorted(log.dropped.items()):
        reasons[f"dropped: {reason}"] = None
        counts.setdefault(tuple(cell), Counter())[f"dropped: {reason}"] += count
    columns = [*(f"{split}.tsv" for split in splits), *sorted(reasons)]
    rows = [(*cell, found.total(), *(found[name] for name in columns)) for cell, found in sorted(counts.items())]
    total = [sum(column) for column in list(zip(*rows, strict=True))[2:]]
    return _table(("domain", "label", "read", *columns), [*rows, ("all", "", *total)])


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rows = list(rows)
    numeric = [all(isinstance(row[at], int) for row in rows) for at in range(len(header))]
    lines = [header, ["---:" if one else "---" for one in numeric], *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
