from django.db import migrations


class Migration(migrations.Migration):
    """The snapshot tells what new tables need, and `carecollective.operations.remaking` makes them."""

    dependencies = [("operations", "0002_make_the_new_messaging_where_it_was_dropped")]

    operations = [migrations.DeleteModel(name="DroppedMessaging")]
