# Django's own lists write a moment as `formats.moments.moment` does, so that the staff pages' script knows it.
DATETIME_FORMAT = r"j M Y, H:i:s \U\T\C"
