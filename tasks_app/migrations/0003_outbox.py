from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0002_ledger"),
    ]

    operations = [
        migrations.CreateModel(
            name="Outbox",
            fields=[
                (
                    "id",
                    models.CharField(
                        help_text="of the task", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("definition", models.BinaryField(help_text="as message.py encodes it")),
                (
                    "durability",
                    models.CharField(default="fast", help_text="of its submit", max_length=10),
                ),
                ("created_us", models.BigIntegerField(help_text="by the clock of who enqueued it")),
                (
                    "turn_us",
                    models.BigIntegerField(
                        help_text=(
                            "by Redis' clock: until then whoever wrote this may push it, "
                            "and nobody else"
                        )
                    ),
                ),
                ("tries", models.IntegerField(default=0, help_text="that Redis refused")),
                (
                    "reason",
                    models.CharField(
                        blank=True, help_text="of the last refusal, cut", max_length=500
                    ),
                ),
            ],
            options={
                "verbose_name": "task in the outbox",
                "verbose_name_plural": "outbox",
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["turn_us"], name="outbox_turn")],
            },
        ),
    ]
