-- Whether the acting member has opened this V1 conversation and `member` is one of its two people. Asked by policies.
CREATE OR REPLACE FUNCTION public.opens_legacy_conversation_to(conversation uuid, member uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM public.conversations c JOIN public.help_requests r ON r.id = c.help_request_id
    WHERE c.id = conversation AND c.created_by = public.current_member() AND member IN (c.created_by, r.user_id))
$$;
