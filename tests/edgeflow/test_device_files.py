"""The files that configure devices are found by name, and chosen for a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.device_files import choose_files, device_files, summary
from edgeflow.errors import UsageError


def test_every_file_of_the_folder_and_the_line_controller_have_a_name(repository: Path) -> None:
    folder = repository / "firmware_configs"
    wanted = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    controller = {
        "line_controller/line_controller.py",
        "line_controller/line_control/__init__.py",
        "line_controller/line_control/gate.py",
        "line_controller/line_control/receipts.py",
    }
    assert set(device_files()) == wanted | controller


def test_every_file_says_of_itself_what_it_is() -> None:
    told = {name: summary(name, path) for name, path in device_files().items()}
    assert [name for name, text in told.items() if len(text) < 15 or text[0] in '#"[{'] == []


def test_a_file_is_chosen_under_its_last_name_and_a_folder_as_it_lies() -> None:
    assert set(choose_files(("boxes/usb5.yaml", "chrony/"))) == {"usb5.yaml", "edgeflow.conf"}
    assert {"line_controller.py", "line_control/gate.py"} <= set(choose_files(("line_controller",)))
    assert set(choose_files(())) == set(device_files())
    assert set(choose_files(("boxes", "boxes/usb5.yaml"))) == set(choose_files(("boxes",)))


@pytest.mark.parametrize("name", ["nothing", "boxes/usb", "../README.md", "", "/etc/passwd"])
def test_an_unknown_name_is_an_error_that_says_where_names_are(name: str) -> None:
    with pytest.raises(UsageError, match="edgeflow config list"):
        choose_files((name,))


def test_two_files_of_one_name_do_not_go_to_one_folder() -> None:
    with pytest.raises(UsageError, match=r"edgeflow\.conf"):
        choose_files(("chrony/edgeflow.conf", "mosquitto/edgeflow.conf"))
