import uuid

from django.conf import settings
from django.db import migrations, models

CREATE_WHERE_ABSENT = """
DO $$
BEGIN
  IF to_regclass('public.conversations') IS NULL THEN
    CREATE TABLE public.conversations (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      help_request_id uuid REFERENCES public.help_requests (id) ON DELETE SET NULL,
      created_by uuid NOT NULL REFERENCES public.profiles (id) ON DELETE CASCADE,
      title text,
      status text DEFAULT 'active' CHECK (status IN ('active', 'closed', 'blocked')),
      created_at timestamptz DEFAULT now(),
      updated_at timestamptz DEFAULT now(),
      last_message_at timestamptz DEFAULT now()
    );
    CREATE INDEX conversations_help_request ON public.conversations (help_request_id) WHERE help_request_id IS NOT NULL;
    CREATE INDEX conversations_updated ON public.conversations (updated_at DESC);
    CREATE TABLE public.conversation_participants (
      conversation_id uuid NOT NULL REFERENCES public.conversations (id) ON DELETE CASCADE,
      user_id uuid NOT NULL REFERENCES public.profiles (id) ON DELETE CASCADE,
      joined_at timestamptz DEFAULT now(),
      left_at timestamptz,
      role text DEFAULT 'member' CHECK (role IN ('member', 'moderator')),
      PRIMARY KEY (conversation_id, user_id)
    );
    CREATE INDEX conversation_participants_user
      ON public.conversation_participants (user_id, conversation_id) WHERE left_at IS NULL;
    CREATE TABLE public.messages (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      conversation_id uuid NOT NULL REFERENCES public.conversations (id) ON DELETE CASCADE,
      sender_id uuid NOT NULL REFERENCES public.profiles (id) ON DELETE CASCADE,
      recipient_id uuid NOT NULL REFERENCES public.profiles (id) ON DELETE CASCADE,
      help_request_id uuid REFERENCES public.help_requests (id) ON DELETE SET NULL,
      content text NOT NULL CHECK (length(content) <= 1000),
      message_type text DEFAULT 'text' CHECK (message_type IN ('text', 'system', 'help_request_update')),
      status text DEFAULT 'sent' CHECK (status IN ('sent', 'delivered', 'read', 'failed')),
      read_at timestamptz,
      is_flagged boolean DEFAULT false,
      flagged_reason text,
      moderation_status text CHECK (moderation_status IN ('pending', 'approved', 'hidden', 'removed')),
      created_at timestamptz DEFAULT now(),
      updated_at timestamptz DEFAULT now(),
      deleted_at timestamptz
    );
    CREATE INDEX messages_conversation_created ON public.messages (conversation_id, created_at DESC);
    CREATE INDEX messages_recipient_unread ON public.messages (recipient_id, read_at) WHERE read_at IS NULL;
    CREATE FUNCTION public.bump_conversation() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
      UPDATE conversations SET last_message_at = NEW.created_at, updated_at = NEW.created_at WHERE id = NEW.conversation_id;
      RETURN NEW;
    END $body$;
    CREATE TRIGGER bump_conversation AFTER INSERT ON public.messages FOR EACH ROW EXECUTE FUNCTION public.bump_conversation();
    ALTER TABLE public.conversations ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.conversation_participants ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;
    COMMENT ON TABLE public.conversations IS 'made by Care Collective';
  END IF;
END $$;
"""

DROP_WHERE_OURS = """
DO $$
BEGIN
  IF obj_description('public.conversations'::regclass) = 'made by Care Collective' THEN
    DROP TABLE public.messages, public.conversation_participants, public.conversations;
    DROP FUNCTION public.bump_conversation();
  END IF;
END $$;
"""


class Migration(migrations.Migration):
    """Made where absent, found where the legacy system left them; unmanaged either way."""

    initial = True

    dependencies = [
        ("help_requests", "0001_take_over_help_requests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(CREATE_WHERE_ABSENT, DROP_WHERE_OURS),
        migrations.CreateModel(
            name="Conversation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("title", models.TextField(null=True)),
            ],
            options={"db_table": "conversations", "managed": False},
        ),
        migrations.CreateModel(
            name="Participant",
            fields=[],
            options={"db_table": "conversation_participants", "managed": False},
        ),
        migrations.CreateModel(
            name="Message",
            fields=[("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False))],
            options={"db_table": "messages", "managed": False},
        ),
    ]
