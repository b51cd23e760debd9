-- The member whom every policy asks about: a setting of the transaction, empty or missing where nobody acts.
CREATE OR REPLACE FUNCTION public.current_member() RETURNS uuid
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT NULLIF(pg_catalog.current_setting('app.user_id', true), '')::uuid $$;
