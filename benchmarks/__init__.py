"""What the site costs, beside other ways to build the same five operations: `make bench`."""
