-- Every fact of the catalogue that decides who may read or write: (part, name, value). Any role may run it. Run with an empty
-- search_path, so that definitions name schemas; names leave out `public.`. A fact reads the same on every server: it has no oid,
-- no database name, and the owner's role only as "the owner".
WITH
site AS (
  -- On an operator's own server, other roles and the schema's owner are the operator's decision.
  SELECT owner, pg_get_userbyid(owner) = 'carecollective_owner' AS is_embedded FROM (SELECT coalesce(
    -- The owner of most tables: a single table may have been given to another role.
    (SELECT mode() WITHIN GROUP (ORDER BY relowner) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace),
    (SELECT datdba FROM pg_database WHERE datname = current_database())) AS owner) AS found
),
role AS (
  SELECT r.oid, CASE r.oid WHEN s.owner THEN 'the owner' ELSE r.rolname::text END COLLATE "C" AS name,
    r.rolname IN ('carecollective_web', 'carecollective_ops', 'carecollective_guard') AS is_ours, r.oid = s.owner AS is_owner,
    NOT r.rolsuper AS is_common
  FROM pg_roles r, site s
  UNION ALL SELECT 0, 'public', false, false, false
),
extension_part AS (
  SELECT d.classid, d.objid, ', in the extension ' || quote_ident(e.extname) AS words
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
  WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
),
space AS (
  SELECT oid, nspname, nspowner, nspacl, CASE nspname WHEN 'public' THEN '' ELSE quote_ident(nspname) || '.' END AS prefix
  FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
),
any_relation AS (
  SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relpersistence,
    s.prefix || quote_ident(c.relname) COLLATE "C" AS name,
    (SELECT e.words FROM extension_part e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid) AS extension
  FROM pg_class c JOIN space s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
relation AS (
  SELECT * FROM any_relation WHERE extension IS NULL
),
a_table AS (
  SELECT * FROM relation WHERE relkind IN ('r', 'p')
),
routine AS (
  SELECT p.*, s.prefix || regexp_replace(p.oid::regprocedure::text, '^("[^"]*"|[^".(]+)\.', '') AS name,
    (SELECT e.words FROM extension_part e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid) AS extension
  FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
  -- Functions of extensions count only if they run with their owner's rights.
  WHERE p.prosecdef OR NOT EXISTS (SELECT FROM extension_part e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
),
-- All grants: the object's name, its owner, the grantee and the right.
granted AS (
  SELECT r.name AS object, r.relowner AS owner, x.grantee, x.privilege_type AS right_, x.is_grantable
  FROM relation r, aclexplode(r.relacl) x
  UNION ALL
  SELECT r.name, r.relowner, x.grantee, x.privilege_type || ' (' || quote_ident(a.attname) || ')', x.is_grantable
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped,
    aclexplode(a.attacl) x
  UNION ALL
  SELECT 'function ' || p.name, p.proowner, x.grantee, x.privilege_type, x.is_grantable
  FROM routine p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
  UNION ALL
  SELECT 'schema ' || quote_ident(s.nspname), s.nspowner, x.grantee, x.privilege_type, x.is_grantable
  FROM space s, aclexplode(coalesce(s.nspacl, acldefault('n', s.nspowner))) x
  UNION ALL
  SELECT 'database', d.datdba, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x WHERE d.datname = current_database()
  UNION ALL
  SELECT 'type ' || s.prefix || quote_ident(t.typname), t.typowner, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_type t JOIN space s ON s.oid = t.typnamespace, aclexplode(t.typacl) x
  UNION ALL
  SELECT 'language ' || quote_ident(l.lanname), l.lanowner, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_language l, aclexplode(l.lanacl) x
  UNION ALL
  SELECT 'foreign data wrapper ' || quote_ident(f.fdwname), f.fdwowner, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_foreign_data_wrapper f, aclexplode(f.fdwacl) x
  UNION ALL
  SELECT 'foreign server ' || quote_ident(f.srvname), f.srvowner, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_foreign_server f, aclexplode(f.srvacl) x
  UNION ALL
  SELECT 'parameter ' || quote_ident(a.parname), 10, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_parameter_acl a, aclexplode(a.paracl) x
  UNION ALL
  -- Grants on the server's own functions and tables since the server was made.
  SELECT 'function pg_catalog.' || p.oid::regprocedure::text, p.proowner, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_proc p, aclexplode(p.proacl) x
  WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proacl IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_init_privs i, aclexplode(i.initprivs) y
    WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid AND i.objsubid = 0
    AND (y.grantee, y.privilege_type) = (x.grantee, x.privilege_type))
  UNION ALL
  SELECT 'pg_catalog.' || quote_ident(c.relname), c.relowner, x.grantee, x.privilege_type, x.is_grantable
  FROM pg_class c, aclexplode(c.relacl) x
  WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relacl IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_init_privs i, aclexplode(i.initprivs) y
    WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = 0
    AND (y.grantee, y.privilege_type) = (x.grantee, x.privilege_type))
  UNION ALL
  SELECT 'pg_catalog.' || quote_ident(c.relname), c.relowner, x.grantee,
    x.privilege_type || ' (' || quote_ident(a.attname) || ')', x.is_grantable
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL, aclexplode(a.attacl) x
  WHERE c.relnamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_init_privs i, aclexplode(i.initprivs) y
    WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = a.attnum
    AND (y.grantee, y.privilege_type) = (x.grantee, x.privilege_type))
  UNION ALL
  -- Large objects: the embedded server revokes these functions from everybody, so the initial grants are too wide here.
  SELECT 'function pg_catalog.' || p.oid::regprocedure::text, p.proowner, x.grantee, x.privilege_type, x.is_grantable
  FROM site s, pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
  WHERE s.is_embedded AND p.pronamespace = 'pg_catalog'::regnamespace AND x.grantee = 0
  AND (starts_with(p.proname, 'lo_') OR p.proname IN ('loread', 'lowrite'))
)
SELECT 'Site' AS part, 'owner' AS name, quote_ident(pg_get_userbyid(owner)) AS value FROM site
UNION ALL
SELECT 'Site', 'database', quote_ident(current_database())
UNION ALL
SELECT 'Site', 'made here', 'yes' WHERE obj_description(to_regclass('public.conversations'), 'pg_class') = 'made by Care Collective'
UNION ALL
SELECT 'Tables', r.name,
  CASE r.relpersistence WHEN 'u' THEN 'unlogged ' WHEN 't' THEN 'temporary ' ELSE '' END
  || CASE r.relkind WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' ELSE 'table' END || ' of ' || o.name
FROM relation r JOIN role o ON o.oid = r.relowner WHERE r.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'Views', r.name,
  CASE r.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END || ' of ' || o.name || coalesce(r.extension, '')
  || coalesce(' with ' || array_to_string(r.reloptions, ', '), '') || ' over ' || coalesce((
    SELECT string_agg(DISTINCT source.name, ', ' ORDER BY source.name)
    FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN relation source ON source.oid = d.refobjid AND source.oid <> r.oid
    WHERE w.ev_class = r.oid), 'nothing') || ': ' || btrim(pg_get_viewdef(r.oid))
FROM any_relation r JOIN role o ON o.oid = r.relowner WHERE r.relkind IN ('v', 'm') AND (r.extension IS NULL OR EXISTS (
  SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
  JOIN relation source ON source.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass WHERE w.ev_class = r.oid))
UNION ALL
SELECT 'Columns', r.name || '.' || quote_ident(a.attname),
  format_type(a.atttypid, a.atttypmod)
  || coalesce((SELECT ' collate ' || quote_ident(l.collname) FROM pg_collation l JOIN pg_type t ON t.oid = a.atttypid
               WHERE l.oid = a.attcollation AND l.oid <> t.typcollation), '')
  || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
  || CASE a.attidentity WHEN 'a' THEN ' always identity' WHEN 'd' THEN ' by default identity' ELSE '' END
  || coalesce(CASE a.attgenerated WHEN '' THEN ' default ' ELSE ' generated ' END || pg_get_expr(d.adbin, d.adrelid), '')
FROM a_table r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
UNION ALL
SELECT 'Row-level security', name,
  CASE WHEN relrowsecurity THEN 'on' ELSE 'off' END || CASE WHEN relforcerowsecurity THEN ' and forced' ELSE ', not forced' END
FROM a_table
UNION ALL
SELECT 'Policies', r.name || '.' || quote_ident(p.polname),
  CASE WHEN p.polpermissive THEN '' ELSE 'AS RESTRICTIVE ' END
  || 'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
  || ' TO ' || (SELECT string_agg(o.name, ', ' ORDER BY o.name) FROM unnest(p.polroles) one JOIN role o ON o.oid = one)
  || coalesce(' USING (' || regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g') || ')', '')
  || coalesce(' WITH CHECK (' || regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g') || ')', '')
FROM a_table r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'Constraints', r.name || '.' || quote_ident(o.conname),
  pg_get_constraintdef(o.oid) || CASE WHEN o.convalidated OR pg_get_constraintdef(o.oid) LIKE '% NOT VALID%' THEN '' ELSE ' NOT VALID' END
-- Since PostgreSQL 18, NOT NULL is a constraint; here it is part of the column.
FROM a_table r JOIN pg_constraint o ON o.conrelid = r.oid AND o.contype NOT IN ('n', 't')
UNION ALL
SELECT 'Indexes', r.name || '.' || quote_ident(c.relname),
  pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (not valid)' END
FROM a_table r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid
UNION ALL
SELECT 'Triggers', r.name || '.' || quote_ident(t.tgname),
  pg_get_triggerdef(t.oid)
  || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' (switched off)' WHEN 'R' THEN ' (on replicas only)' ELSE ' (always)' END
FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
-- The triggers of foreign keys have generated names: only a disabled one is a fact.
SELECT 'Triggers', r.name || '.' || quote_ident(o.conname), 'the foreign key''s own triggers are switched off'
FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid JOIN pg_constraint o ON o.oid = t.tgconstraint
WHERE t.tgisinternal AND t.tgenabled <> 'O' GROUP BY r.name, o.conname
UNION ALL
SELECT 'Rules', r.name || '.' || quote_ident(w.rulename),
  pg_get_ruledef(w.oid) || CASE w.ev_enabled WHEN 'O' THEN '' ELSE ' (not as usual: ' || w.ev_enabled::text || ')' END
FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
UNION ALL
SELECT 'Inheritance', child.name || ' of ' || parent.name, 'inherits'
FROM pg_inherits i JOIN relation child ON child.oid = i.inhrelid JOIN relation parent ON parent.oid = i.inhparent
UNION ALL
SELECT 'Functions', p.name, 'OWNER ' || o.name || coalesce(p.extension, '')
  || CASE WHEN p.pronamespace = 'public'::regnamespace AND EXISTS (
    SELECT FROM pg_proc served WHERE served.pronamespace = 'pg_catalog'::regnamespace AND served.proname = p.proname)
    THEN ', named like one of the server''s' ELSE '' END || E'\n'
  || CASE p.prokind WHEN 'a' THEN 'an aggregate' ELSE btrim(pg_get_functiondef(p.oid)) END
FROM routine p JOIN role o ON o.oid = p.proowner
UNION ALL
SELECT 'Grants', g.object || ' to ' || o.name, string_agg(g.right_ || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', '
  ORDER BY g.right_ COLLATE "C")
FROM granted g JOIN role o ON o.oid = g.grantee WHERE g.grantee <> g.owner AND NOT o.is_owner
-- Everybody has two rights on every database by default. Our roles have their own, so these do not matter.
AND NOT (o.name = 'public' AND (g.object, g.right_) IN (('database', 'CONNECT'), ('schema public', 'USAGE')))
AND NOT (g.object = 'schema public' AND o.name = 'pg_database_owner')
GROUP BY g.object, o.name
UNION ALL
SELECT 'Owners', 'schema ' || quote_ident(s.nspname), o.name FROM site, space s JOIN role o ON o.oid = s.nspowner
WHERE o.is_ours OR (site.is_embedded AND s.nspname = 'public' AND o.name NOT IN ('the owner', 'pg_database_owner') AND o.is_common)
UNION ALL
SELECT 'Owners', 'database', o.name
FROM site, pg_database d JOIN role o ON o.oid = d.datdba
WHERE d.datname = current_database() AND (o.is_ours OR (site.is_embedded AND o.is_common AND NOT o.is_owner))
UNION ALL
SELECT 'Default privileges',
  CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END
  || ' of ' || maker.name || coalesce(' in ' || quote_ident(n.nspname), '') || ' to ' || o.name,
  string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY x.privilege_type COLLATE "C")
FROM pg_default_acl d JOIN role maker ON maker.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace,
  aclexplode(d.defaclacl) x JOIN role o ON o.oid = x.grantee
WHERE x.grantee <> d.defaclrole GROUP BY d.defaclobjtype, maker.name, n.nspname, o.name
UNION ALL
SELECT 'Roles', r.rolname, coalesce(nullif(concat_ws(', ',
  CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolbypassrls THEN 'bypassrls' END,
  CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolcreaterole THEN 'createrole' END,
  CASE WHEN r.rolreplication THEN 'replication' END, CASE WHEN r.rolconnlimit = 0 THEN 'no session' END, 'until ' || nullif(r.rolvaliduntil, 'infinity')), ''), 'no sign-in')
FROM pg_roles r JOIN role o ON o.oid = r.oid AND o.is_ours
UNION ALL
SELECT 'Roles', r.name || ' belongs to', coalesce((
  SELECT string_agg(other.name, ', ' ORDER BY other.name) FROM role other JOIN pg_roles p ON p.oid = other.oid AND NOT p.rolsuper
  WHERE other.oid <> r.oid AND NOT mine.rolsuper AND pg_has_role(r.oid, other.oid, 'MEMBER')), 'no role')
-- A superuser belongs to every role; its attribute is a fact above.
FROM role r JOIN pg_roles mine ON mine.oid = r.oid WHERE r.is_ours
UNION ALL
-- Roles that may become the owner, and the server's administrators, have these rights anyway.
SELECT 'Roles', r.name || ' is open to', coalesce((
  SELECT string_agg(other.name, ', ' ORDER BY other.name) FROM role other JOIN pg_roles p ON p.oid = other.oid AND NOT p.rolsuper
  WHERE other.oid <> r.oid AND pg_has_role(other.oid, r.oid, 'MEMBER') AND CASE
    WHEN r.is_owner THEN s.is_embedded
    ELSE other.is_ours OR NOT pg_has_role(other.oid, s.owner, 'MEMBER') END), 'the owner alone')
FROM role r, site s WHERE r.is_ours OR r.is_owner
UNION ALL
SELECT 'Settings', coalesce(o.name, 'every role') || CASE d.setdatabase WHEN 0 THEN '' ELSE ' in this database' END || ': ' || split_part(one, '=', 1),
  substr(one, strpos(one, '=') + 1)
FROM pg_db_role_setting d LEFT JOIN role o ON o.oid = d.setrole AND o.oid <> 0, unnest(d.setconfig) one
LEFT JOIN pg_settings known ON known.name = split_part(one, '=', 1)
WHERE (d.setrole = 0 OR o.is_ours OR o.is_owner)
AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
-- Settings of memory, plans, dates and languages do not matter.
AND known.category IS DISTINCT FROM 'Client Connection Defaults / Locale and Formatting'
AND coalesce(known.category, '') NOT LIKE 'Resource Usage%' AND coalesce(known.category, '') NOT LIKE 'Query Tuning%'
UNION ALL
SELECT 'Settings', 'the server: ' || name, setting FROM pg_settings
WHERE (name = 'session_replication_role' AND setting <> 'origin')
OR (source IN ('configuration file', 'command line') AND setting <> boot_val
  AND name IN ('row_security', 'search_path', 'default_transaction_read_only', 'lo_compat_privileges', 'allow_system_table_mods'))
UNION ALL
SELECT 'Event triggers', quote_ident(e.evtname), format('ON %s EXECUTE FUNCTION %s%s', e.evtevent, e.evtfoid::regprocedure,
  CASE e.evtenabled WHEN 'O' THEN '' ELSE ' (not as usual: ' || e.evtenabled::text || ')' END)
FROM pg_event_trigger e
WHERE NOT EXISTS (SELECT FROM extension_part x WHERE x.classid = 'pg_event_trigger'::regclass AND x.objid = e.oid)
UNION ALL
SELECT 'Publications', quote_ident(p.pubname), CASE WHEN p.puballtables THEN 'every table' ELSE coalesce((
  SELECT string_agg(DISTINCT t.schemaname || '.' || t.tablename, ', ' ORDER BY t.schemaname || '.' || t.tablename)
  FROM pg_publication_tables t WHERE t.pubname = p.pubname), 'no table') END
FROM pg_publication p
UNION ALL
-- Subscriptions write into our tables from another server.
SELECT 'Subscriptions', quote_ident(u.subname), 'subscription of ' || o.name
FROM pg_subscription u JOIN role o ON o.oid = u.subowner
WHERE u.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL
-- Operators that a statement could find in place of the server's own.
SELECT 'Operators', regexp_replace(p.oid::regoperator::text, '^public\.', ''), 'runs ' || p.oprcode::text
FROM pg_operator p WHERE p.oprnamespace = 'public'::regnamespace
AND NOT EXISTS (SELECT FROM extension_part e WHERE e.classid = 'pg_operator'::regclass AND e.objid = p.oid)
UNION ALL
SELECT 'Casts', format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL),
  CASE c.castcontext WHEN 'e' THEN 'when asked for' WHEN 'a' THEN 'when stored' ELSE 'always' END
FROM pg_cast c JOIN pg_type one ON one.oid = c.castsource JOIN pg_type other ON other.oid = c.casttarget
-- Lower oids are the server's own.
WHERE c.oid >= 16384 AND one.typnamespace = other.typnamespace AND one.typnamespace = 'pg_catalog'::regnamespace
AND NOT EXISTS (SELECT FROM extension_part e WHERE e.classid = 'pg_cast'::regclass AND e.objid = c.oid)
