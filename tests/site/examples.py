"""The examples of docs/tasks.md: each section a small project, with a worker of its own."""

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..workers.processes import ROOT

DOC = ROOT / "docs" / "tasks.md"
PROGRAM_SECONDS = 120  # that the calling code of a section may take

WORKER = re.compile(r"^<!-- runworker\b(.*) -->$", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ((?:shop/)?\w+\.py)\n")

SETTINGS = """\
from dtps_site.settings import *
from dtps_site.settings import DTPS, INSTALLED_APPS, TASKS

INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
"""
PROLOGUE = "import django; django.setup()"


@dataclass
class Section:
    """A heading with what stands below it; files by their path, lines as in the document."""

    title: str
    files: dict[str, str] = field(default_factory=dict)
    program: str = ""  # the calling code
    workers: list[list[str]] = field(default_factory=list)  # options of `runworker`

    @property
    def last_statement(self):
        return ast.parse(self.program).body[-1]


def sections(text):
    """All that a document has to run. What stands above the first heading is in every section."""
    headings = list(re.finditer(r"^## (.+)$", text, re.MULTILINE))
    titles = ["", *(each[1] for each in headings)]
    starts = [0, *(each.start() for each in headings)]
    found = list(map(partial(_section, text), titles, starts, [*starts[1:], len(text)]))
    common, *others = found
    for each in others:
        each.files = {**common.files, **each.files}
    return [each for each in others if each.program]


def _section(text, title, start, end):
    section = Section(title)
    section.workers = [each[1].split() for each in WORKER.finditer(text, start, end)] or [[]]
    for block in BLOCK.finditer(text, start, end):
        code = block[1]
        if name := FILE.match(code):
            section.files[name[1]] = section.files.get(name[1], "") + code
        else:
            section.program += _aligned(section.program, text[: block.start(1)], code)
    return section


def _aligned(program, before, code):
    """Code at the lines that it has in the document, so that tracebacks name those."""
    return "\n" * (before.count("\n") - program.count("\n")) + code


class Shop:
    """A project with one app, `shop`, of the files of one section."""

    def __init__(self, directory, section, redis_url):
        self.directory = Path(directory)
        self.section = section
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "shop_settings",
            "PYTHONPATH": os.pathsep.join(map(str, (self.directory, ROOT))),
            "DTPS_REDIS_URL": redis_url,
            "DTPS_VAR_DIR": str(self.directory / "var"),
        }
        self._write()

    def _write(self):
        (self.directory / "shop").mkdir()
        (self.directory / "var").mkdir(mode=0o700)
        (self.directory / "shop" / "__init__.py").touch()
        files = dict(self.section.files)
        (self.directory / "shop_settings.py").write_text(SETTINGS + files.pop("settings.py", ""))
        for name, code in files.items():
            (self.directory / name).write_text(code)

    @property
    def database(self):
        return self.directory / "var" / "dtps.sqlite3"

    def migrate(self, template=None):
        """Make the tables; from a database that has ours already, if there is one."""
        if template is not None:
            shutil.copy(template, self.database)
        if template is None or "shop/models.py" in self.section.files:
            self.run([str(ROOT / "manage.py"), "migrate", "--run-syncdb", "--verbosity", "0"])

    def call(self):
        """Run the calling code, as if it stood in a file of the project."""
        path = self.directory / "program.py"
        path.write_text(self.section.program, encoding="utf-8")
        start = f"exec(compile(open({str(path)!r}).read(), {str(DOC)!r}, 'exec'))"
        self.run(["-c", f"{PROLOGUE}; {start}"])

    def run(self, words):
        """Run Python in the project; raise AssertionError with all that it said if it fails."""
        done = subprocess.run(
            [sys.executable, *words], cwd=self.directory, env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROGRAM_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
