"""README and documentation: their files load, their commands exist, their paths and links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from edgeflow.cli.main import cli
from edgeflow.config.box import load_config
from edgeflow.security.keys import new_key
from tests.support.commands import command_named
from tests.support.markdown import blocks, commands

REPOSITORY = Path(__file__).resolve().parents[3]
TUTORIALS = ("docs/tutorials/first-bundle.md", "docs/tutorials/first-box.md")
# Decisions tell what was so on their date, with the names of then; the list of changes does as well.
PAGES = sorted(
    str(page.relative_to(REPOSITORY))
    for page in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    if page.name != "CHANGELOG.md" and not {"decisions", "_build"} & set(page.parts)
)
# Topics (edgeflow/v1/...) and names of schemas (edgeflow/trigger/1) are no paths.
_PATH = re.compile(
    r"(?<![\w./~{-])(?:docs|edgeflow(?!/v1|/[\w-]+/1)|export|firmware_configs|tests|tools)/[\w./-]+\b/?"
)
_LINK = re.compile(r"\]\((?!https?://|#)(?P<target>[^)#\s]+)")


def yaml_blocks(text: str) -> list[str]:
    return [body for _, kind, body in blocks(text) if kind == "yaml"]


def terminal_commands(text: str) -> list[list[str]]:
    """The commands of ``sh`` blocks, which are run, and of ``console`` blocks, which need hardware."""
    return [
        words
        for _, kind, body in blocks(text)
        if kind in ("sh", "console")
        for words in commands(body.replace("\\\n", " "))
    ]


def test_commands_that_a_page_marks_as_run_are_those_of_the_tutorials(repository: Path) -> None:
    run = [words for page in TUTORIALS for words in _run_commands(repository, page)]
    assert run
    others = [page for page in PAGES if page not in TUTORIALS]
    assert [words for page in others for words in _run_commands(repository, page) if words not in run] == []


def _run_commands(repository: Path, page: str) -> list[list[str]]:
    text = (repository / page).read_text()
    return [words for _, kind, body in blocks(text) if kind == "sh" for words in commands(body)]


def test_sections_that_pages_show_are_parts_of_a_whole_box_file(repository: Path, tmp_path: Path) -> None:
    shown = {page: yaml_blocks((repository / page).read_text()) for page in PAGES}
    (whole,) = map(yaml.safe_load, shown.pop("docs/tutorials/first-box.md"))
    (recipe,) = map(yaml.safe_load, shown.pop("docs/tutorials/first-bundle.md"))
    assert recipe["name"]
    for name in ("line", "shift"):
        new_key(tmp_path / name, None)
    (tmp_path / "mes.secret").write_text("0123456789abcdef" * 4)
    sections = [(page, yaml.safe_load(body)) for page, bodies in shown.items() for body in bodies]
    assert len(sections) >= 5
    for page, section in sections:
        path = tmp_path / "box.yaml"
        rest = {key: value for key, value in whole.items() if key != "bundle" or "products" not in section}
        path.write_text(yaml.safe_dump({**rest, **section}))
        config = load_config(path)
        for key in section:
            assert getattr(config, key), page


@pytest.mark.parametrize("page", PAGES)
def test_commands_for_a_terminal_exist_with_their_options(repository: Path, page: str) -> None:
    for words in terminal_commands((repository / page).read_text()):
        command, rest = command_named(cli, words[1:])
        known = {option for parameter in command.params for option in parameter.opts} | {"--version"}
        used = {word for word in rest if word.startswith("-")}
        assert used <= known, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES)
def test_programs_for_a_terminal_exist_with_their_options(repository: Path, page: str) -> None:
    """Programs of ``tools/``: an option stands in the source of the program or of its package."""
    shown = [body for _, kind, body in blocks((repository / page).read_text()) if kind in ("sh", "console")]
    for line in "\n".join(shown).replace("\\\n", " ").splitlines():
        match = re.match(r"python (?P<program>tools/\w+\.py)(?P<rest>[^#]*)", line)
        if match is None:
            continue
        program = repository / match["program"]
        assert program.is_file(), f"{page}: {line}"
        source = "".join(file.read_text() for file in (repository / "tools").rglob("*.py"))
        assert [o for o in re.findall(r"--[\w-]+", match["rest"]) if f'"{o}"' not in source] == [], line


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_links_lead_somewhere(repository: Path, page: str) -> None:
    text = (repository / page).read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {match.rstrip(".") for match in _PATH.findall(prose)}
    missing = {path for path in named if not (repository / path).exists()}
    folder = (repository / page).parent
    missing |= {link for link in _LINK.findall(prose) if not (folder / link).exists()}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_a_page_names_exist(repository: Path, page: str) -> None:
    named = set(re.findall(r"\bedgeflow(?:_export)?(?:\.[a-z_]\w*)+", (repository / page).read_text()))
    missing = set()
    for name in named - _NO_MODULES:
        first, *rest = name.split(".")
        where = (repository / "export" if first == "edgeflow_export" else repository).joinpath(first, *rest)
        places = [where, where.with_suffix(".py"), where.parent.with_suffix(".py")]  # or a name in a module
        if not any(place.exists() for place in places):
            missing.add(name)
    assert missing == set()


def test_every_decision_is_complete_and_in_the_index(repository: Path) -> None:
    folder = repository / "docs" / "explanations" / "decisions"
    index = (folder / "index.md").read_text()
    decisions = sorted(folder.glob("0*.md"))
    assert len(decisions) >= 98
    assert len({page.name[:4] for page in decisions}) == len(decisions)
    for page in decisions:
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]}: "), page.name
        places = [text.index(f"\n{part}") for part in ("Date: 20", *(f"## {h}\n" for h in _HEADINGS))]
        assert places == sorted(places), page.name
        title = text.splitlines()[0].removeprefix("# ")
        assert f"[{title}]({page.name})" in index, f"add {page.name} to {folder / 'index.md'}"


def test_layers_on_the_page_are_those_that_are_held(repository: Path) -> None:
    contracts = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    held = [
        (str(number), name.strip())
        for contract in contracts
        for number, layer in enumerate(contract.get("layers", []), 1)
        for name in layer.split("|")
    ]
    page = (repository / "docs" / "explanations" / "architecture.md").read_text()
    assert sorted(re.findall(r"^\| (\d+) \| `(\w+)` \| .+ \|$", page, re.MULTILINE)) == sorted(held)


def test_ci_runs_every_python_that_the_package_names(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    jobs = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


_HEADINGS = ("Context", "Decision", "Consequence")
_NO_MODULES = {"edgeflow.service", "edgeflow.conf"}
