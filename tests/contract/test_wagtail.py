"""Wagtail, as it came, with its tasks on our backend: its pages, its search, its pictures."""

WAGTAIL = {"DJANGO_SETTINGS_MODULE": "bookshop.with_wagtail"}


LOOK = """
import io, time
from pathlib import Path
from django.core.files.images import ImageFile
from PIL import Image
from wagtail.images import get_image_model
from wagtail.models import Page
from tasks_app.models import TaskRecord

def wait_until(condition):
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)

def is_done():
    return not TaskRecord.objects.exclude(status="completed").exists()
"""

PUBLISH = """
home = Page.objects.get(depth=2)
for number in range(5):
    page = home.add_child(instance=Page(title=f"Zebra {number}"))
    page.save_revision().publish()
print(Page.objects.search("Zebra").count(), "are found")
"""

FIND = """
wait_until(lambda: Page.objects.search("Zebra").count() == 5 and is_done())
print(*sorted(set(TaskRecord.objects.values_list("type", flat=True))))
"""

PICTURE = """
file = io.BytesIO()
Image.new("RGB", (8, 8)).save(file, "PNG")
pictures = get_image_model().objects
picture = pictures.create(title="red", file=ImageFile(file, "red.png"))
path = Path(picture.file.path)
assert path.exists()
wait_until(lambda: pictures.search("red").count() == 1)
picture.delete()
wait_until(lambda: not path.exists())
print("The picture is gone.")
"""


def test_wagtails_tasks_fill_its_search_and_delete_the_files_of_pictures(foreign):
    foreign.manage("migrate", "--run-syncdb", "--verbosity", "0", **WAGTAIL)
    before = foreign.manage("shell", "-c", LOOK + PUBLISH, **WAGTAIL)
    assert before.splitlines()[-1] == "0 are found"  # nobody has done that yet
    foreign.start_worker("--processes", "1", **WAGTAIL)

    *_, types, picture = foreign.manage(
        "shell", "-c", LOOK + FIND + PICTURE, **WAGTAIL
    ).splitlines()

    assert types.split() == [
        "modelsearch.tasks.insert_or_update_object_task",
        "wagtail.tasks.update_reference_index_task",
    ]
    assert picture == "The picture is gone."
