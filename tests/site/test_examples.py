"""Every example of docs/tasks.md runs as it stands there, with real workers."""

import ast
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from ..redis_server import RedisServer
from ..workers.processes import processes
from .examples import DOC, Section, Shop, sections

SECTIONS = sections(DOC.read_text(encoding="utf-8"))


@pytest.fixture
def server():
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with all of our tables and nothing in them."""
    directory = tmp_path_factory.mktemp("template")
    shop = Shop(directory, Section("template"), "redis://127.0.0.1:1/0")
    shop.migrate()
    return shop.database


@pytest.fixture
def run(server, database):
    """Runs a section in a project of its own, beside its workers."""
    with tempfile.TemporaryDirectory(prefix="dtps-shop-", dir="/tmp") as directory:
        var = Path(directory, "var")
        with processes(server.url, var) as start:

            def run(section):
                shop = Shop(directory, section, server.url)
                shop.migrate(database)
                workers = [
                    start("runworker", *words, env=shop.environment, settings="shop_settings")
                    for words in section.workers
                ]
                try:
                    shop.call()
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    raise AssertionError(
                        "\n".join([str(error), *(w.log for w in workers)])
                    ) from None

            yield run


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_an_example_does_what_it_says(section, run):
    last = section.last_statement
    if isinstance(last, ast.For | ast.With):
        last = last.body[-1]
    assert isinstance(last, ast.Assert), "An example ends in what it shows."

    run(section)


def test_every_heading_with_code_has_an_example_that_runs():
    text = DOC.read_text(encoding="utf-8")
    with_code = [part.partition("\n")[0] for part in text.split("\n## ")[1:] if "```python" in part]

    assert with_code == [section.title for section in SECTIONS]


def test_an_example_that_is_wrong_is_noticed_where_it_stands(run):
    text = (
        "# Doc\n\n## Title\n\n```python\n# shop/tasks.py\n```\n\n```python\n\nassert 1 == 2\n```\n"
    )
    (section,) = sections(text)

    with pytest.raises(AssertionError, match=f"{os.fspath(DOC)}.*line 11"):
        run(section)
