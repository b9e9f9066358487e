import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0006_operations"),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkflowRecord",
            fields=[
                ("id", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("name", models.CharField(blank=True, max_length=255)),
                (
                    "on_failure",
                    models.CharField(
                        choices=[
                            ("continue", "continue: what does not depend on it goes on"),
                            ("cancel", "cancel: all that is still open"),
                        ],
                        default="continue",
                        max_length=8,
                    ),
                ),
                ("total", models.IntegerField(help_text="of its tasks")),
                ("layers", models.IntegerField(help_text="tasks of the longest way through it")),
                ("created_us", models.BigIntegerField()),
                (
                    "key",
                    models.CharField(
                        help_text="digest of an idempotency key",
                        max_length=64,
                        null=True,
                        unique=True,
                    ),
                ),
                (
                    "cancelled_us",
                    models.BigIntegerField(default=0, help_text="since nobody retried it"),
                ),
            ],
            options={
                "verbose_name": "workflow",
                "verbose_name_plural": "workflows",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Member",
            fields=[
                ("task_id", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("position", models.IntegerField(help_text="parents come first")),
                ("layer", models.IntegerField(help_text="0: it waits for no task of the workflow")),
                ("name", models.CharField(help_text="unique in the workflow", max_length=255)),
                ("type", models.CharField(max_length=255)),
                (
                    "workflow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="tasks_app.workflowrecord",
                    ),
                ),
            ],
            options={
                "verbose_name": "task of a workflow",
                "verbose_name_plural": "tasks of workflows",
                "default_permissions": (),
                "indexes": [models.Index(fields=["workflow", "position"], name="member_workflow")],
            },
        ),
        migrations.CreateModel(
            name="Dependency",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("child_id", models.CharField(max_length=64)),
                ("parent_id", models.CharField(max_length=64)),
                ("position", models.IntegerField(help_text="among the child's parents")),
                ("is_open", models.BooleanField(default=True)),
                (
                    "runs_anyway",
                    models.BooleanField(
                        default=False, help_text="the child, if the parent does not complete"
                    ),
                ),
                (
                    "workflow",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="tasks_app.workflowrecord",
                    ),
                ),
            ],
            options={
                "verbose_name": "dependency",
                "verbose_name_plural": "dependencies",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["child_id", "position"], name="dependency_child"),
                    models.Index(fields=["parent_id"], name="dependency_parent"),
                    models.Index(
                        condition=models.Q(("is_open", True)),
                        fields=["child_id"],
                        name="dependency_open",
                    ),
                ],
            },
        ),
    ]
