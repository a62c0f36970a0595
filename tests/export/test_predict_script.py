"""The script that classifies with an export and without this project."""

from predict_saved_model import main as predict


def test_single_and_pair(exported_single, exported_pair, capsys):
    assert predict([str(exported_single.path), "A good book!"]) == 0
    assert capsys.readouterr().out.startswith('"A good book!"\n  -> ')
    assert predict([str(exported_pair.path), "A good book!", "It is good."]) == 0
    assert "  -> " in capsys.readouterr().out


def test_texts_that_the_model_does_not_read(exported_single, exported_pair, tmp_path, capsys):
    single, pair = str(exported_single.path), str(exported_pair.path)
    assert predict([pair, "A good book!"]) == 2
    assert capsys.readouterr().err == f"error: {pair}: got text, the model reads a text and its text_pair\n"
    assert predict([single, "A good book!", "It is good."]) == 2
    assert capsys.readouterr().err == f"error: {single}: got text and text_pair, the model reads one text\n"
    assert predict([str(tmp_path), "A good book!"]) == 2
    assert "no saved_model.pb in it" in capsys.readouterr().err
