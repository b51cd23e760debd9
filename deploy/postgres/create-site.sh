#!/bin/bash
# Run once by PostgreSQL's image, on an empty volume: the database of the site with its owner, and the role with which
# PgBouncer looks up the password of the one role that comes through it. The site makes its own roles itself.
set -euo pipefail
psql --username "${POSTGRES_USER:-postgres}" --dbname postgres --set ON_ERROR_STOP=1 --quiet \
    --set care_password="$CARE_PASSWORD" --set pgbouncer_password="$PGBOUNCER_PASSWORD" <<'SQL'
CREATE ROLE care LOGIN PASSWORD :'care_password' CREATEDB CREATEROLE BYPASSRLS;
CREATE ROLE pgbouncer LOGIN PASSWORD :'pgbouncer_password';
CREATE DATABASE care OWNER care ENCODING 'UTF8' TEMPLATE template0;
\connect care
CREATE SCHEMA pgbouncer;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;
CREATE FUNCTION pgbouncer.look_up(role_name text) RETURNS TABLE (name text, password text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = role_name AND rolname = 'carecollective_web' $$;
REVOKE ALL ON FUNCTION pgbouncer.look_up(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.look_up(text) TO pgbouncer;
-- Large objects, which nothing of the site's uses and no policy holds.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure) FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_|loread$|lowrite$)' \gexec
SQL
