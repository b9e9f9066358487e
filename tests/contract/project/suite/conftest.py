"""Tests of Django's interface to tasks, run in the bookshop, beside its worker."""

import django

django.setup()
