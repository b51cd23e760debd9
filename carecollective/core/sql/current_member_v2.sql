-- The member whom every policy asks about: a setting of the transaction, empty or missing where nobody acts. As an expression, and
-- without a search path of its own, PostgreSQL writes it into each query instead of calling it: a request asks it some ten times.
-- What it calls is settled when it is made, so a caller's search path changes nothing.
CREATE OR REPLACE FUNCTION public.current_member() RETURNS uuid LANGUAGE sql STABLE
RETURN NULLIF(pg_catalog.current_setting('app.user_id', true), '')::uuid;
