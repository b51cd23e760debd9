-- Whether the acting member is staff. Read from the member's row, never believed from the caller.
CREATE OR REPLACE FUNCTION public.acts_as_staff() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM public.profiles p WHERE p.id = public.current_member() AND p.is_admin AND p.is_active)
$$;
