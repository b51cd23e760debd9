-- The parts of a database: (kind, table, name, words, sound). Any role may run it. A constraint is described by its columns: after a
-- restore PostgreSQL may word a condition differently.
WITH relation AS (
  SELECT c.oid, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.relkind,
    CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
)
SELECT 'table', name, '', format('security %s, forced %s', relrowsecurity, relforcerowsecurity),
  relrowsecurity AND relforcerowsecurity FROM relation
UNION ALL
SELECT 'column', r.name, a.attname, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
  true
FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', r.name, o.conname, format('%s on %s', o.contype, (
    SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = r.oid AND a.attnum = ANY (o.conkey))), o.convalidated
FROM relation r JOIN pg_constraint o ON o.conrelid = r.oid AND o.contype <> 'n'
UNION ALL
SELECT 'index', r.name, c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid
FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid
UNION ALL
SELECT 'trigger', r.name, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled IN ('O', 'A')
FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT 'policy', r.name, p.polname, format('%s %s to %s using (%s) check (%s)', p.polcmd,
    CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
    (SELECT string_agg(CASE one WHEN 0 THEN 'public' ELSE pg_get_userbyid(one) END, ', ' ORDER BY 1) FROM unnest(p.polroles) one),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)), true
FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'grant', r.name, g.grantee, string_agg(g.right_, ', ' ORDER BY g.right_), true
FROM relation r, LATERAL (
    SELECT CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END AS grantee, x.privilege_type AS right_
    FROM aclexplode(r.relacl) x WHERE x.grantee <> r.relowner
    UNION ALL
    SELECT CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END, x.privilege_type || ' (' || a.attname || ')'
    FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = r.oid AND x.grantee <> r.relowner
) g
GROUP BY r.name, g.grantee
UNION ALL
SELECT 'function', '', p.oid::regprocedure::text,
  format('%s of %s: %s', CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END,
    CASE pg_get_userbyid(p.proowner) WHEN 'carecollective_ops' THEN 'operations' ELSE 'the owner' END,
    md5(p.prosrc || coalesce(p.proconfig::text, ''))
    || coalesce((SELECT string_agg(CASE x.grantee WHEN 0 THEN ' public' ELSE ' ' || pg_get_userbyid(x.grantee) END, ','
                 ORDER BY x.grantee::regrole::text COLLATE "C") FROM aclexplode(p.proacl) x WHERE x.grantee <> p.proowner), '')),
  true
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
