from django.db import migrations, models

import tasks_app.operations.models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0005_remarks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Operation",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=tasks_app.operations.models.new_id,
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("retry", "retry: run it once more"),
                            ("cancel", "cancel: end it"),
                            ("priority", "priority: give it another one"),
                            ("queue", "queue: move it to another one"),
                            ("delete", "delete: drop it from the history"),
                        ],
                        max_length=8,
                    ),
                ),
                ("filter", models.JSONField(default=dict, help_text="as it was asked for")),
                (
                    "parameters",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='such as {"priority": 8}, from 1 to 10',
                    ),
                ),
                ("who", models.CharField(help_text="who asked for it", max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("cancelled", "Cancelled"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                (
                    "expected",
                    models.BigIntegerField(
                        blank=True,
                        help_text="tasks found when it was asked for; empty: very many",
                        null=True,
                    ),
                ),
                ("matched", models.BigIntegerField(default=0, help_text="tasks found so far")),
                ("done", models.BigIntegerField(default=0)),
                (
                    "skipped",
                    models.BigIntegerField(
                        default=0, help_text="whose state, or something else, did not allow it"
                    ),
                ),
                (
                    "failed",
                    models.BigIntegerField(default=0, help_text="where something went wrong"),
                ),
                (
                    "cursor",
                    models.CharField(
                        blank=True, help_text="what is left is below this id", max_length=64
                    ),
                ),
                (
                    "slice",
                    models.JSONField(
                        blank=True, default=dict, help_text="tasks in hand: id to run"
                    ),
                ),
                (
                    "message",
                    models.CharField(blank=True, help_text="what was refused last", max_length=500),
                ),
                ("created_us", models.BigIntegerField()),
                ("started_us", models.BigIntegerField(default=0)),
                ("ended_us", models.BigIntegerField(default=0)),
                ("updated_us", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "operation",
                "verbose_name_plural": "operations",
                "default_permissions": (),
                "required_db_features": ["supports_json_field"],
                "indexes": [models.Index(fields=["state", "updated_us"], name="operation_state")],
            },
        ),
    ]
