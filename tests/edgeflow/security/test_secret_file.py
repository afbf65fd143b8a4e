"""Passwords and secrets as Notepad, PowerShell and editors write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.commands.issuers import read_rules
from edgeflow.config.box import BoxConfig, IssuerConfig, SealConfig, load_config
from edgeflow.contracts.datasets.recording import FILE_NAME, read_recording
from edgeflow.security.keys import read_passphrase
from edgeflow.security.secret_file import read_password, read_secret_bytes
from edgeflow.security.shared_secrets import read_secret

WORD = "pässword with blanks "
FORMS = {
    "utf-8": WORD.encode(),
    "line end": f"{WORD}\n".encode(),
    "windows line end": f"{WORD}\r\n".encode(),
    "mark": b"\xef\xbb\xbf" + WORD.encode(),
    "notepad": b"\xef\xbb\xbf" + f"{WORD}\r\n".encode(),
    "powershell": f"{WORD}\r\n".encode("utf-16"),
    "utf-16 big": b"\xfe\xff" + f"{WORD}\r\n".encode("utf-16-be"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_password_is_the_same_whatever_wrote_its_file(form: str, tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_bytes(FORMS[form])
    assert read_password(file) == WORD
    assert read_passphrase(file) == WORD.encode()


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_the_same_whatever_wrote_its_file(form: str, tmp_path: Path, repository: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(FORMS[form])
    expected = WORD.strip().encode()
    assert read_secret(SealConfig(secret_file=file)) == expected
    config: BoxConfig = load_config(repository / "firmware_configs/boxes/replay.yaml")
    commands = config.commands.model_copy(update={"issuers": {"mes": IssuerConfig(secret_file=file)}})
    rules = read_rules(config.model_copy(update={"commands": commands}), "s")
    assert rules.issuers is not None
    assert rules.issuers["mes"].key == expected


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbf" + bytes(range(128, 160)), b"\xff\xfe" + bytes(range(1, 32)), bytes(16)]
)
def test_a_secret_of_random_bytes_stays_as_it_is(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(raw)
    assert read_secret_bytes(file) == raw


def test_a_password_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_bytes(b"p\xe4ss")
    with pytest.raises(UnicodeDecodeError):
        read_password(file)


def test_a_recording_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    line = '{"part_id":"1","line_part_id":"a","triggered_at_ms":0.0,"skew_ms":null,"frames":{}}\n'
    (tmp_path / FILE_NAME).write_bytes(b"\xef\xbb\xbf" + line.encode())
    assert list(read_recording(tmp_path)) == ["1"]
