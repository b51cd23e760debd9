-- Whether the acting member may offer help with this request in V1.
-- Asked by policies. It acts on its owner's rights: a policy that read help_requests itself would be held by that table's legacy
-- policies, and these may read back without end.
CREATE OR REPLACE FUNCTION public.may_open_legacy_conversation(help_request uuid) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM public.help_requests r
    WHERE r.id = help_request AND r.user_id <> public.current_member() AND r.status IN ('open', 'in_progress')
      AND public.may_write_to(r.user_id, true))
$$;
