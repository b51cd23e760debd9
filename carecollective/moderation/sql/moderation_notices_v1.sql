-- What staff did about the acting member, as the member may know it: not who of them, and not their reasons.
CREATE OR REPLACE FUNCTION public.moderation_notices()
RETURNS TABLE (
    id uuid, kind text, words text, at timestamptz, restriction text, daily_limit integer, until timestamptz,
    undone_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT a.id, a.kind, a.words, a.at, r.kind, r.daily_limit::integer, r.until, a.undone_at
  FROM public.moderation_act AS a LEFT JOIN public.safety_restriction AS r ON r.id = a.restriction_id
  WHERE a.member_id = public.current_member()
$$;
