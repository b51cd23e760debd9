import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import carecollective.accounts.models
import carecollective.core.database

# On an empty database the legacy tables are made, by the same columns; on one that has them only what is missing is added.
# A comment marks the tables that we made, so that going back never drops one that we found.
CREATE_WHERE_ABSENT = """
DO $$
BEGIN
  IF to_regtype('public.verification_status') IS NULL THEN
    CREATE TYPE public.verification_status AS ENUM ('pending', 'approved', 'rejected');
    COMMENT ON TYPE public.verification_status IS 'made by Care Collective';
  END IF;
  IF to_regclass('public.profiles') IS NULL THEN
    CREATE TABLE public.profiles (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      name text NOT NULL,
      location text,
      phone text,
      contact_preferences jsonb DEFAULT '{"show_email": true, "show_phone": false, "preferred_contact": "email", "availability": null}',
      caregiving_situation text CHECK (length(caregiving_situation) <= 500),
      avatar_url text,
      is_admin boolean DEFAULT false,
      is_system_user boolean DEFAULT false,
      is_beta_tester boolean DEFAULT false,
      email_confirmed boolean DEFAULT false,
      email_confirmed_at timestamptz,
      verification_status public.verification_status DEFAULT 'pending',
      application_reason text,
      rejection_reason text,
      applied_at timestamptz DEFAULT now(),
      approved_at timestamptz,
      approved_by uuid REFERENCES public.profiles (id),
      terms_accepted_at timestamptz,
      terms_version varchar DEFAULT '1.0',
      created_at timestamptz DEFAULT now()
    );
    COMMENT ON TABLE public.profiles IS 'made by Care Collective';
  END IF;
  IF to_regclass('public.messaging_preferences') IS NULL THEN
    CREATE TABLE public.messaging_preferences (
      user_id uuid PRIMARY KEY REFERENCES public.profiles (id) ON DELETE CASCADE,
      can_receive_from text DEFAULT 'help_connections' CHECK (can_receive_from IN ('anyone', 'help_connections', 'nobody')),
      email_notifications boolean DEFAULT true,
      quiet_hours_start time,
      quiet_hours_end time,
      created_at timestamptz DEFAULT now(),
      updated_at timestamptz DEFAULT now()
    );
    CREATE FUNCTION public.default_preferences() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
      INSERT INTO messaging_preferences (user_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
      RETURN NEW;
    END $body$;
    CREATE TRIGGER default_preferences AFTER INSERT ON public.profiles FOR EACH ROW EXECUTE FUNCTION public.default_preferences();
    COMMENT ON TABLE public.messaging_preferences IS 'made by Care Collective';
  END IF;
END $$;
"""

DROP_WHERE_OURS = """
DO $$
BEGIN
  IF obj_description('public.messaging_preferences'::regclass) = 'made by Care Collective' THEN
    DROP TABLE public.messaging_preferences;
    DROP TRIGGER default_preferences ON public.profiles;
    DROP FUNCTION public.default_preferences();
  END IF;
  IF obj_description('public.profiles'::regclass) = 'made by Care Collective' THEN
    DROP TABLE public.profiles;
  END IF;
  IF obj_description('public.verification_status'::regtype) = 'made by Care Collective' THEN
    DROP TYPE public.verification_status;
  END IF;
END $$;
"""

# An older state of the legacy system may lack what came later.
ADD_WHAT_IS_MISSING = """
ALTER TABLE public.profiles
  ADD COLUMN IF NOT EXISTS location text,
  ADD COLUMN IF NOT EXISTS is_admin boolean DEFAULT false,
  ADD COLUMN IF NOT EXISTS is_beta_tester boolean DEFAULT false,
  ADD COLUMN IF NOT EXISTS email_confirmed boolean DEFAULT false,
  ADD COLUMN IF NOT EXISTS application_reason text,
  ADD COLUMN IF NOT EXISTS rejection_reason text,
  ADD COLUMN IF NOT EXISTS approved_at timestamptz,
  ADD COLUMN IF NOT EXISTS approved_by uuid REFERENCES public.profiles (id),
  ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now();
ALTER TABLE public.messaging_preferences
  ADD COLUMN IF NOT EXISTS email_notifications boolean DEFAULT true,
  ADD COLUMN IF NOT EXISTS quiet_hours_start time,
  ADD COLUMN IF NOT EXISTS quiet_hours_end time,
  ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
ALTER TABLE public.profiles
  ADD COLUMN email varchar(254) CONSTRAINT profiles_email_once UNIQUE CONSTRAINT profiles_email_lower CHECK (email = lower(email)),
  ADD COLUMN password varchar(128) NOT NULL DEFAULT '!',
  ADD COLUMN last_login timestamptz,
  ADD COLUMN is_superuser boolean NOT NULL DEFAULT false,
  ADD COLUMN is_active boolean NOT NULL DEFAULT true;
"""

DROP_WHAT_WE_ADDED = """
ALTER TABLE public.profiles
  DROP COLUMN email, DROP COLUMN password, DROP COLUMN last_login, DROP COLUMN is_superuser, DROP COLUMN is_active;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(CREATE_WHERE_ABSENT, DROP_WHERE_OURS),
                migrations.RunSQL(ADD_WHAT_IS_MISSING, DROP_WHAT_WE_ADDED),
            ],
            state_operations=[
                migrations.CreateModel(
                    name="User",
                    fields=[
                        (
                            "password",
                            models.CharField(max_length=128, verbose_name="password"),
                        ),
                        (
                            "last_login",
                            models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                        ),
                        (
                            "is_superuser",
                            models.BooleanField(
                                default=False,
                                help_text="Designates that this user has all permissions without explicitly assigning them.",
                                verbose_name="superuser status",
                            ),
                        ),
                        (
                            "id",
                            models.UUIDField(
                                default=uuid.uuid4,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "email",
                            models.EmailField(
                                max_length=254,
                                null=True,
                                unique=True,
                                verbose_name="e-mail address",
                            ),
                        ),
                        ("name", models.TextField(verbose_name="name")),
                        (
                            "location",
                            models.TextField(blank=True, null=True, verbose_name="town"),
                        ),
                        (
                            "is_staff",
                            models.BooleanField(
                                db_column="is_admin",
                                default=False,
                                verbose_name="staff",
                            ),
                        ),
                        ("is_beta_tester", models.BooleanField(default=False)),
                        (
                            "is_active",
                            models.BooleanField(default=True, verbose_name="may sign in"),
                        ),
                        (
                            "verification_status",
                            carecollective.accounts.models.VerificationStatusField(
                                choices=[
                                    ("pending", "Waiting for approval"),
                                    ("approved", "Approved"),
                                    ("rejected", "Not approved"),
                                ],
                                default="pending",
                                verbose_name="membership",
                            ),
                        ),
                        (
                            "application_reason",
                            models.TextField(
                                blank=True,
                                null=True,
                                verbose_name="why they would like to join",
                            ),
                        ),
                        ("rejection_reason", models.TextField(blank=True, null=True)),
                        ("approved_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=carecollective.core.database.ClockTimestamp(),
                                editable=False,
                                verbose_name="member since",
                            ),
                        ),
                        (
                            "approved_by",
                            models.ForeignKey(
                                blank=True,
                                db_column="approved_by",
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={"verbose_name": "member", "db_table": "profiles"},
                ),
                migrations.CreateModel(
                    name="MessagingPreferences",
                    fields=[
                        (
                            "user",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="messaging_preferences",
                                serialize=False,
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "email_notifications",
                            models.BooleanField(
                                default=True,
                                verbose_name="E-mail me when I get a message",
                            ),
                        ),
                        (
                            "quiet_hours_start",
                            models.TimeField(blank=True, null=True, verbose_name="Quiet from"),
                        ),
                        (
                            "quiet_hours_end",
                            models.TimeField(blank=True, null=True, verbose_name="until"),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp()),
                        ),
                    ],
                    options={"db_table": "messaging_preferences"},
                ),
            ],
        ),
        migrations.AddField(
            model_name="user",
            name="groups",
            field=models.ManyToManyField(
                blank=True,
                help_text=(
                    "The groups this user belongs to. A user will get all permissions granted to each of their groups."
                ),
                related_name="user_set",
                related_query_name="user",
                to="auth.group",
                verbose_name="groups",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="user_permissions",
            field=models.ManyToManyField(
                blank=True,
                help_text="Specific permissions for this user.",
                related_name="user_set",
                related_query_name="user",
                to="auth.permission",
                verbose_name="user permissions",
            ),
        ),
        migrations.RunSQL(
            """
            GRANT SELECT, INSERT, UPDATE ON profiles TO carecollective_web;
            GRANT SELECT, INSERT, UPDATE ON messaging_preferences TO carecollective_web;
            GRANT SELECT, INSERT, DELETE ON profiles_groups, profiles_user_permissions TO carecollective_web;
            """,
            """
            REVOKE ALL ON profiles, messaging_preferences, profiles_groups, profiles_user_permissions FROM carecollective_web;
            """,
        ),
    ]
