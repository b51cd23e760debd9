"""A dump of a host with roles, owners, rights and policies of its own is restored and taken over by the README's commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import build_url, connection_url, parse_url
from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.takeover.legacy import SAMPLE
from tests.postgres.conftest import Use, data_dir, home, use
from tests.postgres.support import MAY_MAKE_ROLES, PROJECT
from tests.sites import environment_for

__all__ = ["data_dir", "home", "use"]

pytestmark = pytest.mark.slow

PLATFORM_ROLES = ("supabase_admin", "supabase_auth_admin", "anon", "authenticated", "service_role")
# What the platform puts around the tables.
PLATFORM = """
ALTER SCHEMA auth OWNER TO supabase_auth_admin; ALTER TABLE auth.users OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;
ALTER TABLE profiles OWNER TO supabase_admin; ALTER TABLE messages OWNER TO supabase_admin;
GRANT USAGE ON SCHEMA public, auth TO anon, authenticated, service_role;
GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Profiles are seen by members." ON profiles FOR SELECT TO authenticated USING (true);
CREATE POLICY "Own profile." ON profiles FOR UPDATE USING (id = auth.uid());
CREATE FUNCTION public.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
$$ BEGIN INSERT INTO profiles (id, name) VALUES (NEW.id, 'New') ON CONFLICT DO NOTHING; RETURN NEW; END $$;
CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.handle_new_user();
CREATE PUBLICATION supabase_realtime FOR TABLE messages;
CREATE SCHEMA realtime; CREATE TABLE realtime.messages (id int);
"""
HARMLESS = re.compile(
    r'already exists|must be owner of schema public|publication|event trigger|extension "|unrecognized configuration parameter'
)


def commands() -> list[str]:
    """Return the README's blocks of commands about the takeover, without what stands for the operator's own values."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    part = text.partition("**Taking over a real legacy database.**")[2].partition("\n**")[0]
    blocks = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    # The site itself is started by the tests of `make run`.
    left_out = re.compile(r"^(export .*|make run)\n", re.MULTILINE)
    return [left_out.sub("", block).replace("somebody@example.org", "amina@example.org") for block in blocks]


def test_the_commands_of_the_readme_take_over_a_dump(home: Path, data_dir: Path, use: Use, tmp_path: Path) -> None:
    use()
    superuser_url = connection_url(data_dir, "superuser", "postgres")
    legacy_url = connection_url(data_dir, "superuser", "legacy_host")
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        for role in PLATFORM_ROLES:
            superuser.execute(f"CREATE ROLE {role}".encode())
        superuser.execute(f"CREATE ROLE operator LOGIN PASSWORD 'theirs' {MAY_MAKE_ROLES}".encode())
        for role in ("web", "ops", "guard"):
            superuser.execute(f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}".encode())
        superuser.execute("CREATE DATABASE legacy_host")
        superuser.execute("CREATE DATABASE care OWNER operator")
    with psycopg.connect(legacy_url, autocommit=True) as host:
        for name in ("schema.sql", "data.sql"):
            host.execute((SAMPLE / name).read_bytes())
        host.execute(PLATFORM)
    place = parse_url(connection_url(data_dir, "owner", "care"))
    environment = environment_for(
        home / "site",
        DATABASE_URL=build_url({**place, "user": "operator", "password": "theirs"}),
        DJANGO_SECRET_KEY="long enough and random enough for a test " * 2,
        LEGACY_URL=legacy_url,
    )
    environment["PATH"] = f"{bin_dir()}{os.pathsep}{environment.get('PATH', os.environ['PATH'])}"
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "manage.py").symlink_to(PROJECT / "manage.py")

    def run(block: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", block], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
        )

    dump, *rest = commands()
    dumped = run(dump)
    assert dumped.returncode == 0, dumped.stderr
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        # Your server knows nothing of the host.
        superuser.execute("DROP DATABASE legacy_host")
        for role in PLATFORM_ROLES:
            superuser.execute(f"DROP ROLE {role}".encode())
    prepare, restore, take_over = rest
    run(prepare)
    errors = [line for line in run(restore).stdout.splitlines() if "ERROR" in line]
    assert [error for error in errors if not HARMLESS.search(error)] == []
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("ALTER ROLE operator NOSUPERUSER NOCREATEROLE")
    refused = run(take_over)
    assert refused.returncode == 1
    assert "The role operator may not create the roles carecollective_web, " in refused.stdout + refused.stderr
    assert "`manage.py create_roles`" in refused.stdout + refused.stderr
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE operator {MAY_MAKE_ROLES}".encode())
    done = run(take_over)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing stands in the way of a takeover." in done.stdout
    assert "The site works" in done.stdout
    assert done.stderr == ""
