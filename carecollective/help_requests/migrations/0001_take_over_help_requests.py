import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import carecollective.core.database

CREATE_WHERE_ABSENT = """
DO $$
BEGIN
  IF to_regclass('public.help_requests') IS NULL THEN
    CREATE TABLE public.help_requests (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      user_id uuid NOT NULL REFERENCES public.profiles (id) ON DELETE CASCADE,
      title text NOT NULL,
      description text,
      category text CHECK (category IN ('health-caregiving', 'groceries-meals', 'transportation-errands',
        'household-yard', 'technology-administrative', 'social-companionship', 'other')),
      subcategory text,
      urgency text CHECK (urgency IN ('normal', 'urgent', 'critical')),
      status text DEFAULT 'open' CHECK (status IN ('open', 'in_progress', 'completed', 'cancelled', 'closed')),
      helper_id uuid REFERENCES public.profiles (id),
      helped_at timestamptz,
      completed_at timestamptz,
      cancelled_at timestamptz,
      cancel_reason text,
      location_override text,
      location_privacy text DEFAULT 'public' CHECK (location_privacy IN ('public', 'helpers_only', 'after_match')),
      exchange_offer text CHECK (length(exchange_offer) <= 300),
      is_ongoing boolean DEFAULT false,
      expires_at timestamptz,
      created_at timestamptz DEFAULT now(),
      updated_at timestamptz DEFAULT now()
    );
    CREATE INDEX help_requests_user ON public.help_requests (user_id);
    CREATE FUNCTION public.default_expiry() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
      IF NOT NEW.is_ongoing AND NEW.expires_at IS NULL THEN
        NEW.expires_at := NEW.created_at + interval '30 days';
      END IF;
      RETURN NEW;
    END $body$;
    CREATE TRIGGER default_expiry BEFORE INSERT ON public.help_requests FOR EACH ROW EXECUTE FUNCTION public.default_expiry();
    COMMENT ON TABLE public.help_requests IS 'made by Care Collective';
  END IF;
END $$;
-- An older state of the legacy system may lack what came later.
ALTER TABLE public.help_requests
  ADD COLUMN IF NOT EXISTS description text,
  ADD COLUMN IF NOT EXISTS category text,
  ADD COLUMN IF NOT EXISTS urgency text,
  ADD COLUMN IF NOT EXISTS completed_at timestamptz,
  ADD COLUMN IF NOT EXISTS cancelled_at timestamptz,
  ADD COLUMN IF NOT EXISTS is_ongoing boolean DEFAULT false,
  ADD COLUMN IF NOT EXISTS expires_at timestamptz,
  ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
  ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
"""

DROP_WHERE_OURS = """
DO $$
BEGIN
  IF obj_description('public.help_requests'::regclass) = 'made by Care Collective' THEN
    DROP TABLE public.help_requests;
    DROP FUNCTION public.default_expiry();
  END IF;
END $$;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CREATE_WHERE_ABSENT, DROP_WHERE_OURS)],
            state_operations=[
                migrations.CreateModel(
                    name="HelpRequest",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=uuid.uuid4,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("title", models.TextField(verbose_name="title")),
                        (
                            "description",
                            models.TextField(blank=True, null=True, verbose_name="description"),
                        ),
                        (
                            "category",
                            models.TextField(
                                choices=[
                                    ("health-caregiving", "Health and caregiving"),
                                    ("groceries-meals", "Groceries and meals"),
                                    ("transportation-errands", "Rides and errands"),
                                    ("household-yard", "House and yard"),
                                    (
                                        "technology-administrative",
                                        "Technology and paperwork",
                                    ),
                                    ("social-companionship", "Company"),
                                    ("other", "Something else"),
                                ],
                                default="other",
                                verbose_name="category",
                            ),
                        ),
                        (
                            "urgency",
                            models.TextField(
                                choices=[
                                    ("normal", "Any time"),
                                    ("urgent", "Soon"),
                                    ("critical", "Very urgent"),
                                ],
                                default="normal",
                                verbose_name="how soon",
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                choices=[
                                    ("open", "Open"),
                                    ("in_progress", "In progress"),
                                    ("completed", "Completed"),
                                    ("cancelled", "Cancelled"),
                                    ("closed", "Closed"),
                                ],
                                default="open",
                                verbose_name="status",
                            ),
                        ),
                        ("completed_at", models.DateTimeField(blank=True, null=True)),
                        ("cancelled_at", models.DateTimeField(blank=True, null=True)),
                        ("is_ongoing", models.BooleanField(default=False)),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=carecollective.core.database.ClockTimestamp(),
                                editable=False,
                                verbose_name="posted",
                            ),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(
                                db_default=carecollective.core.database.ClockTimestamp(),
                                editable=False,
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="help_requests",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={"db_table": "help_requests"},
                ),
            ],
        ),
        migrations.AddIndex(
            "helprequest",
            models.Index(fields=["-created_at", "-id"], name="help_requests_newest"),
        ),
        migrations.AddIndex(
            "helprequest",
            models.Index(fields=["status", "-created_at", "-id"], name="help_requests_by_status"),
        ),
        migrations.RunSQL(
            "GRANT SELECT, INSERT, UPDATE ON help_requests TO carecollective_web;",
            "REVOKE ALL ON help_requests FROM carecollective_web;",
        ),
    ]
