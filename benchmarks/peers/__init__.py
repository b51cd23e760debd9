"""The same five operations, built in other ways: programs to compare the site with, and not part of it."""
