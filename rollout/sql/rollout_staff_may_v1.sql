-- Whether a member is staff and has this permission on the rollout's flag.
CREATE OR REPLACE FUNCTION public.rollout_staff_may(member uuid, permission text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT EXISTS (
        SELECT FROM public.profiles AS person
        WHERE person.id = member AND person.is_active AND person.is_admin AND (
            person.is_superuser OR EXISTS (
                SELECT FROM public.auth_permission AS p
                JOIN public.django_content_type AS t ON t.id = p.content_type_id
                WHERE t.app_label = 'rollout' AND t.model = 'flag' AND p.codename = permission AND (
                    EXISTS (SELECT FROM public.profiles_user_permissions AS own
                            WHERE own.user_id = member AND own.permission_id = p.id)
                    OR EXISTS (SELECT FROM public.profiles_groups AS mine
                               JOIN public.auth_group_permissions AS given ON given.group_id = mine.group_id
                               WHERE mine.user_id = member AND given.permission_id = p.id)))))
$$;
