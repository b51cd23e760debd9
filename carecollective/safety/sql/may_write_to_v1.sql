-- Whether the acting member may offer help to another, or write to them: nobody blocked, restricted or gone. Asked by policies.
CREATE OR REPLACE FUNCTION public.may_write_to(other uuid, is_offer boolean) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT coalesce((
    SELECT NOT (s.blocked_by_me OR s.blocked_by_other) AND s.other_is_member AND s.no_messages_until IS NULL
      AND (s.no_offers_until IS NULL OR NOT is_offer)
      AND (s.daily_limit IS NULL OR s.written_today < s.daily_limit)
    FROM public.safety_standing(other) AS s), false)
$$;
