from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0004_schedule"),
    ]

    operations = [
        migrations.CreateModel(
            name="TaskRemarks",
            fields=[
                (
                    "id",
                    models.CharField(
                        help_text="of the task", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                (
                    "at_ms",
                    models.BigIntegerField(
                        help_text="by Redis' clock: when it said something last"
                    ),
                ),
                ("text", models.BinaryField()),
            ],
            options={
                "verbose_name": "remarks of a task",
                "verbose_name_plural": "remarks of tasks",
                "default_permissions": (),
            },
        ),
    ]
