"""Settings of text files that no file can be read with."""

import pytest

from easymft.config.data_section import DataConfig
from easymft.config.loading import load_config
from easymft.config.text_files import find_text_file_problems
from easymft.errors import ConfigError


@pytest.mark.parametrize(
    ("encoding", "hint"),
    [("cp125", 'did you mean "cp125'), ("rot13", 'such as "utf-8"'), ("base64", 'such as "utf-8"'), ("\0", "such as")]
    + [("idna", "such as"), ("punycode", "such as")],
)
def test_no_encoding(encoding, hint):
    ((path, expected),) = find_text_file_problems(DataConfig(encoding=encoding))
    assert path == "data.encoding" and hint in expected


@pytest.mark.parametrize("encoding", [None, "utf-8", "UTF-16", "cp1252", "windows-1252", "gb18030", "utf-32-be"])
def test_encodings(encoding):
    assert list(find_text_file_problems(DataConfig(encoding=encoding))) == []


@pytest.mark.parametrize("separator", ['"', "\n", "\r"])
def test_no_separator(separator, tmp_path):
    ((path, _),) = find_text_file_problems(DataConfig(separator=separator))
    assert path == "data.separator"
    (tmp_path / "c.json").write_text('{"output_folder": "out", "data": {"encoding": "latin1x"}}')
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "c.json")
    (tmp_path / "d.json").write_text('{"output_folder": "out", "data": {"separator": "||"}}')
    with pytest.raises(ConfigError, match=r'data.separator: expected one character, or null, got "..\"'):
        load_config(tmp_path / "d.json")
    assert str(caught.value).endswith('Python knows (did you mean "latin1"?), got "latin1x"')
