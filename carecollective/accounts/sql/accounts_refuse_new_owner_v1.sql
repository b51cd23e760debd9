-- An address or a second factor never goes to another member. django-allauth writes whole rows, so no grant can hold this.
CREATE OR REPLACE FUNCTION public.accounts_refuse_new_owner() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.user_id IS DISTINCT FROM OLD.user_id THEN
        RAISE EXCEPTION 'It belongs to another member.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
