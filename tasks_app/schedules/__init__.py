"""Schedules: tasks that are submitted again and again, at moments that a clock gives."""
