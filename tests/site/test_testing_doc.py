"""Every example of docs/testing.md is run by pytest as it stands there, in a project of its own."""

import os
import tempfile
from pathlib import Path

import pytest

from tasks_app.testing.server import ADDRESS

from ..workers.processes import ROOT
from .examples import Shop, sections

DOC = ROOT / "docs" / "testing.md"
TEXT = DOC.read_text(encoding="utf-8")
SECTIONS = sections(TEXT)
# The plugin by its name: in a checkout no wheel has brought it.
PYTEST = ("-m", "pytest", "-p", "tasks_app.testing.plugin", "-p", "no:cacheprovider", "-q")


@pytest.fixture
def run(monkeypatch):
    """Runs a section's tests, with a server that they start themselves."""
    monkeypatch.delenv(ADDRESS, raising=False)
    with tempfile.TemporaryDirectory(prefix="dtps-shop-", dir="/tmp") as directory:

        def run(section):
            shop = Shop(directory, section, "redis://127.0.0.1:1/0")
            Path(directory, "pytest.ini").write_text("[pytest]\n")
            Path(directory, "test_doc.py").write_text(section.program, encoding="utf-8")
            shop.run([*PYTEST, "test_doc.py"])

        yield run


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_an_example_does_what_it_says(section, run):
    assert "def test_" in section.program

    run(section)


def test_every_heading_with_code_is_run():
    with_code = [part.partition("\n")[0] for part in TEXT.split("\n## ")[1:] if "```python" in part]

    assert with_code == [section.title for section in SECTIONS]


def test_an_example_that_is_wrong_is_noticed_where_it_stands(run):
    text = (
        "# Doc\n\n## Title\n\n```python\n# shop/tasks.py\n```\n\n"
        "```python\ndef test_it(dtps):\n    assert dtps.drain() == [1]\n```\n"
    )
    (section,) = sections(text)

    with pytest.raises(AssertionError, match=f"test_doc.py:{text.count(os.linesep) - 1}: "):
        run(section)
