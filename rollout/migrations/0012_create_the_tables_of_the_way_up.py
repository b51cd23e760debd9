from django.db import migrations, models
from django.db.models import F, Q

from carecollective.core.database import ClockTimestamp

KEY = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")
STATES = [
    ("pending", "Pending"),
    ("approved", "Approved"),
    ("refused", "Refused"),
    ("withdrawn", "Withdrawn"),
    ("stale", "Overtaken"),
]


class Migration(migrations.Migration):
    dependencies = [("rollout", "0010_tally_conversations_of_both_versions")]

    operations = [
        migrations.CreateModel(
            name="Proposal",
            fields=[
                ("id", KEY),
                ("from_stage", models.TextField()),
                ("to_stage", models.TextField()),
                ("from_version", models.BigIntegerField()),
                ("reason", models.TextField()),
                ("proposer_id", models.UUIDField(null=True)),
                ("proposer_label", models.TextField()),
                ("proposed_at", models.DateTimeField(db_default=ClockTimestamp())),
                ("state", models.TextField(choices=STATES, default="pending")),
                ("decided_by_id", models.UUIDField(null=True)),
                ("decided_by_label", models.TextField(default="")),
                ("decided_at", models.DateTimeField(null=True)),
                ("decision_reason", models.TextField(default="")),
                ("override", models.BooleanField(default=False)),
                ("missing", models.JSONField(default=list)),
                ("evidence", models.JSONField(default=dict)),
            ],
            options={
                "db_table": "rollout_proposal",
                "ordering": ["-id"],
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(state__in=[state for state, _ in STATES]), name="rollout_proposal_state_is_known"
                    ),
                    models.CheckConstraint(
                        condition=Q(state="pending", decided_at=None)
                        | (~Q(state="pending") & Q(decided_at__isnull=False)),
                        name="rollout_proposal_decided_once",
                    ),
                    models.CheckConstraint(
                        condition=~Q(state="approved")
                        | Q(override=True)
                        | (
                            Q(decided_by_id__isnull=False)
                            & Q(proposer_id__isnull=False)
                            & ~Q(decided_by_id=F("proposer_id"))
                        ),
                        name="rollout_proposal_takes_two_people",
                    ),
                    models.UniqueConstraint(
                        fields=["state"], condition=Q(state="pending"), name="rollout_proposal_one_at_a_time"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SignOff",
            fields=[
                ("id", KEY),
                ("item", models.TextField()),
                ("part", models.TextField(default="")),
                ("signer_id", models.UUIDField()),
                ("signer_label", models.TextField()),
                ("signed_at", models.DateTimeField(db_default=ClockTimestamp())),
                ("withdrawn", models.BooleanField(default=False)),
            ],
            options={"db_table": "rollout_sign_off", "ordering": ["-id"], "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="RootCause",
            fields=[
                ("id", KEY),
                ("change_id", models.BigIntegerField(unique=True)),
                ("what", models.TextField(default="")),
                ("why", models.TextField(default="")),
                ("fix", models.TextField(default="")),
                ("who", models.TextField(default="")),
                ("due", models.DateField(null=True)),
                ("filed_by_id", models.UUIDField(null=True)),
                ("filed_by_label", models.TextField(default="")),
                ("filed_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "rollout_root_cause",
                "ordering": ["-id"],
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(filed_at=None)
                        | (
                            Q(due__isnull=False)
                            & ~Q(what="")
                            & ~Q(why="")
                            & ~Q(fix="")
                            & ~Q(who="")
                            & ~Q(filed_by_label="")
                        ),
                        name="rollout_root_cause_is_filed_whole",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DrainCertificate",
            fields=[
                ("id", KEY),
                ("flag_version", models.BigIntegerField()),
                ("asked_at", models.DateTimeField(db_default=ClockTimestamp())),
                ("issued_at", models.DateTimeField(null=True)),
                ("waited_ms", models.FloatField()),
                ("holders", models.JSONField(default=list)),
            ],
            options={"db_table": "rollout_drain_certificate", "ordering": ["-id"], "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Process",
            fields=[
                ("key", models.TextField(primary_key=True, serialize=False)),
                ("flag_version", models.BigIntegerField()),
                ("switched_at", models.DateTimeField(db_default=ClockTimestamp())),
                ("seen_at", models.DateTimeField(db_default=ClockTimestamp())),
            ],
            options={"db_table": "rollout_process", "ordering": ["key"], "default_permissions": ()},
        ),
    ]
