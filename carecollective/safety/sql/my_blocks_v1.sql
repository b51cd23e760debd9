-- Everybody with whom the acting member has no contact by a block, and whether the acting member made it.
CREATE OR REPLACE FUNCTION public.my_blocks() RETURNS TABLE (member_id uuid, by_me boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT found.member_id, pg_catalog.bool_or(found.by_me) FROM (
    SELECT b.blocked_id AS member_id, true AS by_me FROM public.safety_block AS b WHERE b.blocker_id = public.current_member()
    UNION ALL
    SELECT b.blocker_id, false FROM public.safety_block AS b WHERE b.blocked_id = public.current_member()
  ) AS found GROUP BY found.member_id
$$;
