"""How a search finds a word anywhere in a request, by an index of what the texts consist of."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.lookups import DataContains
from django.db.models import F, Func, Q, TextField, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan


class Folded(Func):
    """A text without case and accents. The database folds both sides of a search, so that they agree."""

    function = "public.fold_for_search"
    output_field = TextField()


class Grams(Func):
    """The pieces of a text of one to three characters."""

    function = "public.search_grams"
    output_field = ArrayField(TextField())


class GramsOfWord(Func):
    """The pieces that a text must have to contain a word."""

    function = "public.search_grams_of_word"
    output_field = ArrayField(TextField())


def grams_of_request() -> CombinedExpression:
    """Return what the index `help_requests_search` is made of."""
    return CombinedExpression(Grams(F("title")), "||", Grams(F("description")), output_field=ArrayField(TextField()))


def contains_word(word: str) -> Q:
    """Match the requests that contain a word in their title or description.

    The index finds those that have all its pieces; of these, the texts themselves are read.
    """
    wanted = Folded(Value(word))
    # Not by LIKE: PostgreSQL takes any long word for a rare one, and would collect all requests that have a common one.
    in_title, in_description = (GreaterThan(StrIndex(Folded(F(text)), wanted), 0) for text in ("title", "description"))
    return Q(DataContains(grams_of_request(), GramsOfWord(Value(word)))) & (Q(in_title) | Q(in_description))
