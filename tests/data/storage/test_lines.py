"""Text files that are not UTF-8: the advice is a command, and it works."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from data.corpora.files import open_files
from data.storage.lines import read_lines
from model.errors import InputError

TEXT = "gut\nsch\u00f6n, \u00e0 c\u00f4t\u00e9\n"


@pytest.mark.skipif(not shutil.which("iconv"), reason="there is no iconv")
@pytest.mark.parametrize("name", ["it's.txt", "a.txt.gz", "A.TXT.GZ"])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (TEXT.encode("cp1252"), TEXT),
        (TEXT.encode("latin-1") + b"\x81", TEXT + "\x81"),
        (TEXT.encode("utf-16"), TEXT),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), TEXT),
    ],
)
def test_the_command_in_the_message_converts_the_file(tmp_path: Path, name, content, text):
    file = tmp_path / name
    file.write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    for read in (lambda: list(read_lines(file)), lambda: open_files(file, "text", 0.1)):
        with pytest.raises(InputError, match=r"is not UTF-8 text .*: convert it") as caught:
            read()
    command = re.sub(r".*: convert it[^:]*: ", "", str(caught.value))
    subprocess.run(command, shell=True, check=True, executable="/bin/sh")
    assert "".join(read_lines(file)) == text
    assert [path.name for path in tmp_path.iterdir()] == [name]
