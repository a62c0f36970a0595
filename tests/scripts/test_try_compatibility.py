"""The trials' bookkeeping, and one of them; all of them take minutes, and are run by hand."""

import try_compatibility
from compatibility.project import Surprise, expect
from compatibility.trial import trial


@trial("owner/tool/issues/7", "a | b", "one thing")
def as_expected(bench):
    return "does one <thing>"


@trial("https://example.org/it", "tries that", "one thing")
def otherwise(bench):
    raise Surprise("did another thing")


def test_every_trial_names_its_report_and_is_found_once():
    trials = [one for _, one in try_compatibility.find_trials()]
    names = [one.name for one in trials]
    assert len(set(names)) == len(names) >= 40
    assert all(one.tried and one.expected for one in trials)
    links = [one.link for one in trials if one.link]
    assert all(link.startswith("https://github.com/") for link in links)
    assert len(set(links)) == len(links) >= 40


def test_the_table_holds_reports_and_outcomes(tmp_path):
    outcomes = [try_compatibility.run_trial("Kind", one, tmp_path) for one in (as_expected, otherwise)]
    assert [outcome.passed for outcome in outcomes] == [True, False]
    document = tmp_path / "document.md"
    document.write_text("# Title\n\n<!-- outcomes -->\nold\n<!-- end of outcomes -->\nend\n")
    try_compatibility.write_table(document, try_compatibility.render_table(outcomes))
    assert document.read_text() == (
        "# Title\n\n<!-- outcomes -->\n\n## Kind\n\n| reported | what was tried | what EasyMFT does |\n|---|---|---|\n"
        "| [owner/tool#7](https://github.com/owner/tool/issues/7) | a \\| b | does one &lt;thing> |\n"
        "| [https://example.org/it](https://example.org/it) | tries that | **Not yet as expected** (one thing): "
        "did another thing |\n\n<!-- end of outcomes -->\nend\n"
    )


def test_a_defect_of_a_trial_counts_as_failed(tmp_path):
    @trial("owner/tool/issues/8", "tries", "a thing")
    def broken(bench):
        return {}["missing"]

    outcome = try_compatibility.run_trial("Kind", broken, tmp_path)
    assert not outcome.passed and outcome.said == "KeyError: 'missing'"


def test_a_trial_runs_the_command(tmp_path):
    (found,) = [one for _, one in try_compatibility.find_trials() if one.name == "broken-json"]
    outcome = try_compatibility.run_trial("Configs", found, tmp_path)
    assert outcome.passed, outcome.said
    assert outcome.said.startswith("refused: @/config.json: line 1, column ")


def test_expect():
    expect(True, "nothing")
    try:
        expect(False, "found that")
    except Surprise as surprise:
        assert str(surprise) == "found that"
    else:
        raise AssertionError("no Surprise")
