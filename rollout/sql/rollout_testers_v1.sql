-- The ids of the internal testers. Each process keeps them with the stage, so that no decision needs a query.
CREATE OR REPLACE FUNCTION public.rollout_testers() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT coalesce(pg_catalog.array_agg(membership.user_id ORDER BY membership.user_id), '{}')
  FROM public.profiles_groups AS membership JOIN public.auth_group AS named ON named.id = membership.group_id
  WHERE named.name = 'Internal testers'
$$;
