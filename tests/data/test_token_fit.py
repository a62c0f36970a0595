from easymft.data.token_fit import TokenFit


def test_cut_rows_are_told_from_a_few_per_cent_on():
    fit = TokenFit()
    fit.add(rows=100, cut_rows=2, tokens=1000, unknown_tokens=29)
    assert fit.describe(64) == []
    assert fit.describe(64, least=0.0) == [
        "2 of 100 rows (2%) have more than 64 tokens (data.max_sequence_length) and are cut"
    ]
    fit.add(rows=0, cut_rows=1, tokens=0, unknown_tokens=1)
    cut, unknown = fit.describe(64)
    assert cut.startswith("3 of 100 rows (3%) have more than 64 tokens")
    assert unknown.startswith("3% of the tokens are [UNK], which stands for words that the vocabulary does not know;")


def test_nothing_to_tell():
    assert TokenFit().describe(64, least=0.0) == TokenFit(rows=5, tokens=30).describe(64, least=0.0) == []
