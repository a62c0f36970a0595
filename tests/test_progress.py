import io
import sys

import pytest

from easymft.progress import plain_console, progress_bar, shown_seconds


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns."""

    def start():  # in the test itself: pytest gives each phase a standard output of its own
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        return stream

    return start


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")]
)
def test_shown_seconds(seconds, text):
    assert shown_seconds(seconds) == text


def test_a_log_gets_one_line_when_all_is_done(capsys):
    with progress_bar("tokenising the train files", 1200, show=True) as advance:
        advance(1000)
        assert capsys.readouterr().out == ""
        advance(200)
    assert capsys.readouterr().out.startswith("tokenising the train files: 1,200 rows in 0.")
    with progress_bar("silent", 2, show=False) as advance:
        advance(2)
    with progress_bar("told elsewhere", 2, show=True, told=False) as advance:
        advance(2)
    assert capsys.readouterr().out == ""


def test_nothing_is_told_as_done_after_an_error(capsys):
    with pytest.raises(KeyError), progress_bar("broken [1/2]", 2, show=True):
        raise KeyError
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("total", [400, None])
def test_a_bar_is_named_and_fits_a_terminal(terminal, total):
    stream = terminal()
    with progress_bar("epoch 1/3", total, show=True, unit="steps") as advance:
        advance(100)
    lines = stream.getvalue().replace("\r", "\n").splitlines()
    assert any("epoch 1/3" in line and (f"100/{total}" if total else "100") + " steps" in line for line in lines)
    assert any("left" in line for line in lines) == bool(total)
    assert lines[-1].endswith("epoch 1/3: 100 steps in 0.0 s")


def test_tables_are_as_wide_as_a_terminal_alone(terminal, monkeypatch):
    terminal()
    assert plain_console().width == 80
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert plain_console().width == 200


def test_who_prints_decides_what_to_do_when_nobody_reads_on(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        plain_console().print("text")
