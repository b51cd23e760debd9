"""The staff home: what waits for staff, of every app, in one place."""
