# Everything a newcomer needs: `make run`, then `make test`.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
MANAGE := $(PY) manage.py
DATABASE_TESTS ?= tests/postgres tests/policies tests/migrations tests/operations tests/races tests/messaging tests/takeover
# Where `make faults` does more than `make test`.
FAULTS := tests/faults tests/properties tests/races tests/takeover/test_variants.py tests/postgres/test_serve.py \
	tests/operations/test_catalog_mutants.py tests/rollout/guard/test_takeover.py tests/rollout/alerts/test_rules.py \
	tests/rollout/gates/test_sequential.py tests/rollout/promotion/test_rollbacks.py
SOURCES := carecollective messaging_v1 messaging_v2 rollout tests benchmarks manage.py gunicorn.conf.py

.DEFAULT_GOAL := help
.PHONY: help run test test-fast test-postgres coverage faults bench bench-quick peers audit lint lint-deploy lint-schema lint-static
.PHONY: format schema db-snapshot lock clean setup setup-dev

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | \
		while IFS='|' read -r target text; do printf '%-16s %s\n' "$$target" "$$text"; done
	@echo
	@echo "Variables: PORT (8000), BIND (127.0.0.1), DATABASE_URL (unset: an embedded PostgreSQL in DATA_DIR, .data), WEB_CONCURRENCY (2), PYTHON."

run: setup  ## Start the site with its database and worker; Ctrl-C stops all of it
	@exec $(MANAGE) serve

test: setup-dev  ## Run the whole test suite, in a real browser too
	@.ci/in_memory $(PY) -m pytest -n 2 --dist loadgroup --durations=20

test-fast: setup-dev  ## Run the suite without browser, faults and whatever else takes long: the inner loop
	@.ci/in_memory $(PY) -m pytest -n 2 --dist loadgroup -m "not slow and not browser"

coverage: setup-dev  ## Run the suite and measure it: 90% of the whole, every branch of the services
	@rm -f .coverage .coverage.*
	@$(PY) -m pytest -n 2 --dist loadgroup --cov --cov-report=
	@$(PY) -m coverage report --fail-under=90
	@$(PY) -m coverage report --include='*/services.py' --fail-under=100

faults: setup-dev  ## Break everything in full: kills, locks, a full disk, a lost answer; print what held (some minutes)
	@exec env FAULTS=full .ci/in_memory $(PY) -m pytest $(FAULTS) -p no:randomly

test-postgres: setup-dev  ## Run the tests of the database on another version: make test-postgres PG=15 (to 18)
	@programs="$$(PYTHONPATH=. $(PY) .ci/postgres_binaries.py $(PG))" && \
		exec env POSTGRES_BIN="$$programs" TEST_DATA_DIR=".data/tests-$(PG)" \
		$(PY) -m pytest -n 2 --dist loadgroup -m "not browser" $(DATABASE_TESTS)

bench: peers  ## Measure the site beside other ways to build it; the table of goals, and 1 where one is not met
	@$(PY) -m benchmarks

bench-quick: peers  ## The same on a tenth of the data
	@$(PY) -m benchmarks --size quick

# The peers have an environment of their own: nothing of theirs is installed beside the site.
peers: setup-dev
	@cmp -s benchmarks/requirements.txt benchmarks/.venv/installed.txt || { \
		$(PY) -m venv --clear benchmarks/.venv && \
		benchmarks/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
			-r benchmarks/requirements.txt && \
		cp benchmarks/requirements.txt benchmarks/.venv/installed.txt; }

lint: setup-dev  ## Check style, types, architecture, templates, migrations and settings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(SOURCES)
	$(VENV)/bin/lint-imports
	PYTHONPATH=. $(PY) .ci/draw_architecture.py --check
	$(PY) .ci/lint_docs.py
	find templates -name '*.html' -exec $(VENV)/bin/djade --target-version 5.2 --check {} +
	find templates -name '*.html' -exec $(VENV)/bin/djhtml --tabwidth 2 --check {} +
	@! grep -rnE 'def test_\w{60}' tests || { echo "A test's name has at most 64 characters: shorten these."; exit 1; }
	@! grep -rnE '.{161}' templates || { echo "A template line has at most 160 characters: wrap these."; exit 1; }
	$(PY) -m codespell_lib $(SOURCES) templates docs *.md Makefile
	$(MANAGE) makemigrations --check --dry-run
	PYTHONPATH=. $(PY) .ci/lint_migrations.py
	$(MANAGE) spectacular --validate --fail-on-warn --file .schema.yaml
	@diff -u docs/openapi.yaml .schema.yaml && rm .schema.yaml || \
		{ rm -f .schema.yaml; echo "docs/openapi.yaml is not in step with the code: run make schema."; exit 1; }
	@$(MAKE) --no-print-directory lint-static lint-schema
	DJANGO_SECRET_KEY="$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		DATABASE_URL=postgresql://owner:none@localhost/none ALLOWED_HOSTS=care.example \
		CSRF_TRUSTED_ORIGINS=https://care.example \
		$(MANAGE) check --deploy --fail-level WARNING

# These linters are pinned with all that they need, in lint/: installed once, and again when a lock file changes.
lint-static:  ## Check the format and style of static/ with Biome (needs Node.js 20 or newer)
	@$(call npm_install,lint/static)
	lint/static/node_modules/.bin/biome check --error-on-warnings

lint-schema:  ## Check docs/openapi.yaml with Redocly and Spectral (needs Node.js 20 or newer)
	@$(call npm_install,lint/openapi)
	cd lint/openapi && REDOCLY_TELEMETRY=off npx --no-install redocly lint ../../docs/openapi.yaml \
		--config redocly.yaml --max-problems 100 --format github-actions
	cd lint/openapi && npx --no-install spectral lint ../../docs/openapi.yaml --ruleset spectral.yaml --fail-severity hint

lint-deploy:  ## Check the examples in deploy/ with hadolint, the Compose schema, Caddy, systemd and nginx
	@lint/deploy/check

# ruff's S rules are bandit's own, each exception with its reason beside it; secrets are looked for by tests/hostile.
audit: setup-dev  ## Look for known weaknesses in the dependencies, where a database of them can be reached
	@.ci/audit

format: setup-dev  ## Rewrite the sources in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	-find templates -name '*.html' -exec $(VENV)/bin/djade --target-version 5.2 {} +
	-find templates -name '*.html' -exec $(VENV)/bin/djhtml --tabwidth 2 {} +
	@$(call npm_install,lint/static)
	lint/static/node_modules/.bin/biome check --write

schema: setup-dev  ## Write docs/openapi.yaml anew
	$(MANAGE) spectacular --validate --fail-on-warn --file docs/openapi.yaml

# Run it after each migration, and after a merge that conflicts in the file. A test fails while the two differ.
db-snapshot: setup-dev  ## Write anew what a migrated database looks like: policies, grants, functions, roles, settings
	@$(PY) -m tests.db_snapshot

lock:  ## Compile the pinned requirements from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" $(LOCK_OPTIONS) pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" $(LOCK_OPTIONS) --group dev -c requirements.txt \
		pyproject.toml -o requirements-dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" $(LOCK_OPTIONS) lint/deploy/requirements.in -o lint/deploy/requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" $(LOCK_OPTIONS) benchmarks/requirements.in -o benchmarks/requirements.txt

clean:  ## Remove caches and the virtual environment; the data in DATA_DIR stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* htmlcov .schema.yaml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made once and again only when its lock file says something else. The lock names every package, so
# nothing is resolved (--no-deps): pip before 23.3 would resolve extras anew and refuse what the index released since.

setup:
	@$(call install,requirements.txt)

setup-dev:
	@$(call install,requirements-dev.txt)

define install
set -e; \
wanted="$$(cat $(1) | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1)"; \
stamp=$(VENV)/$(1).sha256; \
if [ -x $(PY) ] && [ "$$(cat $$stamp 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	python=; \
	for candidate in "$(PYTHON)" python3.13 python3.12 python3.11; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3."; exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make a virtual environment: install the package python3-venv (apt-get install python3-venv)."; exit 1; fi; \
	echo "Making the virtual environment with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear $(VENV); \
fi; \
echo "Installing $(1) ..."; \
rm -f $$stamp; \
$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1); \
missing="$$($(PY) -m pip check --disable-pip-version-check)" || { echo "$(1) is not complete: $$missing"; exit 1; }; \
echo "$$wanted" > $$stamp
endef

define npm_install
command -v npm >/dev/null || { echo "This needs Node.js 20 or newer with npm: install it."; exit 1; }; \
cd $(1); \
cmp -s package-lock.json node_modules/.installed || \
	{ npm ci --silent --ignore-scripts --no-audit --no-fund && cp package-lock.json node_modules/.installed; }
endef
