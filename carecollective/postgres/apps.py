from django.apps import AppConfig


class PostgresConfig(AppConfig):
    name = "carecollective.postgres"
    # `postgres` alone is the label of django.contrib.postgres.
    label = "carecollective_postgres"
