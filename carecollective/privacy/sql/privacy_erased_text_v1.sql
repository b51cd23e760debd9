-- The sentence in place of every text of a member who has left.
CREATE OR REPLACE FUNCTION public.privacy_erased_text() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT 'This message was removed: its author has left Care Collective.' $$;
