"""What django-allauth needs to run on this site: see docs/decisions on sign-in."""
