"""Static files as a deploy collects them: every name in them has a hash, and yesterday's names are still served."""

import os
import posixpath
import re
import shutil
from pathlib import Path

import pytest
from django.contrib.staticfiles.finders import get_finder
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.test import Client, override_settings

from carecollective.settings import STATICFILES_DIRS, STORAGES

IMPORT = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']""")
# What else a file can name: in a style sheet by url() and @import, in both by the address of a source map.
URL = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""")
SOURCE_MAP = re.compile(r"(?://|/\*)[#@]\s*sourceMappingURL=([^\s*]+)")
HASHED = re.compile(r"\.[0-9a-f]{12}\.[a-z0-9]+$")


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """The files of the whole site, Django's and the libraries' too, collected as `serve` does."""
    with override_settings(STORAGES=STORAGES, STATIC_ROOT=tmp_path_factory.mktemp("static")):
        call_command("collectstatic", interactive=False, verbosity=0)
        yield staticfiles_storage


@pytest.fixture
def deploy(settings, tmp_path):
    """Collect one version of our own files into the one folder: `deploy({"js/api.js": "// changed"})`; give its names."""
    settings.STORAGES, settings.STATIC_ROOT = STORAGES, tmp_path / "collected"
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = False
    source = tmp_path / "source"
    shutil.copytree(STATICFILES_DIRS[0], source)
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]

    def collect(changes=None):
        for name, added in (changes or {}).items():
            with (source / name).open("a") as file:
                file.write(f"\n{added}\n")
            # As a copy that keeps times has it: older than what is collected already.
            os.utime(source / name, (0, 0))
        get_finder.cache_clear()  # type: ignore[attr-defined]
        call_command("collectstatic", interactive=False, verbosity=0)
        # Each process reads the list of names once, when it starts.
        staticfiles_storage._setup()  # type: ignore[attr-defined]
        return dict(staticfiles_storage.hashed_files)  # type: ignore[attr-defined]

    yield collect
    get_finder.cache_clear()  # type: ignore[attr-defined]


def text_of(storage, name):
    return Path(storage.path(name)).read_text(errors="replace")


def imports_of(storage, name):
    """The files that a module imports, each as a name in the collected folder."""
    found = IMPORT.findall(text_of(storage, name))
    return [posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in found]


def test_every_module_imports_hashed_names_that_exist(collected):
    final = set(collected.hashed_files.values())
    ours = {name for name in collected.hashed_files if name.endswith(".js") and (STATICFILES_DIRS[0] / name).exists()}
    imports = {name: imports_of(collected, collected.hashed_files[name]) for name in ours}
    assert {imported for found in imports.values() for imported in found} <= final
    # Each import of the source is one of them: none was lost on the way, and there are some.
    assert {name: len(found) for name, found in imports.items()} == {
        name: len(IMPORT.findall((STATICFILES_DIRS[0] / name).read_text())) for name in ours
    }
    assert len(imports["js/thread.js"]) >= 2


def test_style_sheets_and_source_maps_name_existing_hashed_files(collected):
    final, seen, wrong = set(collected.hashed_files.values()), 0, []
    for name in sorted(final):
        if not name.endswith((".css", ".js")):
            continue
        text = text_of(collected, name)
        named = [first or second for first, second in URL.findall(text)] if name.endswith(".css") else []
        named += SOURCE_MAP.findall("\n".join(text.splitlines()[-3:]))
        for each in named:
            path = each.split("#")[0].split("?")[0]
            if not path or each.startswith("data:"):
                continue
            seen += 1
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            if target not in final or not HASHED.search(target):
                wrong.append(f"{name} names {each}")
    assert not wrong
    assert seen > 20


def test_a_page_from_before_a_deploy_keeps_its_modules(deploy):
    before = deploy()
    old = {name: text_of(staticfiles_storage, hashed) for name, hashed in before.items()}
    after = deploy({"js/api.js": "export const added = 1;", "css/site.css": "body { color: red; }"})
    # Who imports what has changed has changed too: no old name stands for a new whole.
    for name in ("js/api.js", "js/thread.js", "js/offer.js", "css/site.css"):
        assert before[name] != after[name]
    assert before["js/times.js"] == after["js/times.js"]

    visitor = Client()

    def get(hashed):
        answer = visitor.get(f"/static/{hashed}")
        assert (hashed, answer.status_code) == (hashed, 200)
        # Read to its end, it closes its file.
        return answer, answer.getvalue().decode()

    for name, hashed in before.items():
        assert get(hashed)[1] == old[name]
        if name.endswith(".js"):
            assert set(imports_of(staticfiles_storage, hashed)) <= set(before.values())
    for hashed in after.values():
        assert "immutable" in get(hashed)[0]["Cache-Control"]


def test_a_file_that_was_cut_short_is_written_again(deploy):
    hashed = deploy()["js/api.js"]
    path = Path(staticfiles_storage.path(hashed))
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    deploy()
    assert path.read_bytes() == whole
