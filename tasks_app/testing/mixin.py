"""The kit in a test case of Django's."""

from .kits import Kit, kit


class TasksMixin:
    """Before ``TestCase`` or ``TransactionTestCase``: each test has a kit, ``self.dtps``."""

    dtps: Kit

    def setUp(self) -> None:
        self.dtps = self.enterContext(kit())
        super().setUp()
