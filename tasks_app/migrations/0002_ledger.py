from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Ledger",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("epoch", models.BigIntegerField(default=0, help_text="0: none has begun")),
                (
                    "run_id",
                    models.CharField(
                        blank=True, help_text="of the server found sound", max_length=64
                    ),
                ),
                (
                    "last_change",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="by shard: no row tells of a later change",
                    ),
                ),
                (
                    "restored",
                    models.BigIntegerField(default=0, help_text="tasks that Redis had lost"),
                ),
                (
                    "dropped",
                    models.BigIntegerField(default=0, help_text="tasks that Redis had again"),
                ),
                (
                    "reconciled_at",
                    models.DateTimeField(blank=True, help_text="the last time", null=True),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name": "ledger",
                "verbose_name_plural": "ledger",
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="quarantine",
            index=models.Index(fields=["task_id"], name="quarantine_task"),
        ),
    ]
