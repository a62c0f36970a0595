"""How well texts fit a model's vocabulary and its longest sequence, and what to tell of those that do not."""

from dataclasses import dataclass

NOTEWORTHY = 0.03  # a share of rows or tokens; below it a data set has some odd texts, above it a wrong setting


@dataclass
class TokenFit:
    """Counts of some rows.

    Attributes:
        rows: How many.
        cut_rows: Those with more tokens than are kept.
        tokens: Kept ones, [CLS] and [SEP] included.
        unknown_tokens: Those of them that are [UNK].
    """

    rows: int = 0
    cut_rows: int = 0
    tokens: int = 0
    unknown_tokens: int = 0

    def add(self, rows: int, cut_rows: int, tokens: int, unknown_tokens: int) -> None:
        """Counts more rows."""
        self.rows += int(rows)
        self.cut_rows += int(cut_rows)
        self.tokens += int(tokens)
        self.unknown_tokens += int(unknown_tokens)

    def describe(self, max_sequence_length: int, least: float = NOTEWORTHY) -> list[str]:
        """Returns what a user should know, in lines without a full stop.

        Args:
            max_sequence_length: Tokens that were kept of a row at most.
            least: The share of rows from which cut ones are told; 0: any.
        """
        lines = []
        if self.cut_rows and self.cut_rows >= least * self.rows:
            share = f" ({self.cut_rows / self.rows:.0%})" if self.rows > 1 else ""
            lines.append(
                f"{self.cut_rows:,} of {self.rows:,} rows{share} have more than {max_sequence_length} tokens "
                "(data.max_sequence_length) and are cut"
            )
        if self.tokens and self.unknown_tokens / self.tokens >= NOTEWORTHY:
            lines.append(
                f"{self.unknown_tokens / self.tokens:.0%} of the tokens are [UNK], which stands for words that the "
                "vocabulary does not know; take weights for the language of the texts, or check model.lower_case"
            )
        return lines
