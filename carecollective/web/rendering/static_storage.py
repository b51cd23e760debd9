import re
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

HASHED_NAME = re.compile(r"\.[0-9a-f]{12}\.[^./]+$")


class HashedModulesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Static files under hashed names, inside JavaScript imports too.

    With plain names in imports, a deploy would change the modules of open pages, and a module that a page names too would
    be loaded twice. Files under hashed names are never removed: pages from before a deploy still ask for them.
    """

    support_js_module_import_aggregation = True

    def delete(self, name: str) -> None:
        # Django removes what it takes for an intermediate file. It may be a file of an earlier deploy.
        if not HASHED_NAME.search(name):
            super().delete(name)

    def _save(self, name: str, content: Any) -> str:
        if HASHED_NAME.search(name) and self.exists(name):
            with self.open(name) as kept:
                if self.file_hash(name, kept) in name:
                    return name
            # A full disk or a kill left it incomplete.
            super().delete(name)
        return str(super()._save(name, content))
