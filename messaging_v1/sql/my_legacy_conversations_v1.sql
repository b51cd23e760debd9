-- The V1 conversations in which the acting member takes part.
-- Asked by policies. On its owner's rights, because a policy cannot read its own table.
CREATE OR REPLACE FUNCTION public.my_legacy_conversations() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT conversation_id FROM public.conversation_participants WHERE user_id = public.current_member() AND left_at IS NULL
$$;
