"""As much of PromQL as the rules about what is gone need, for machines without promtool."""

import re
from collections.abc import Iterable, Mapping

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Series = Mapping[str, float]  # 'up{job="carecollective"}' to its value

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[a-zA-Z_]\w*)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>>=|<=|==|!=|>|<|\(|\)|,)"
    r"|(?P<matchers>\{[^}]*\}))"
)
_SIGNS = {
    ">": float.__gt__, "<": float.__lt__, ">=": float.__ge__, "<=": float.__le__, "==": float.__eq__, "!=": float.__ne__,
}  # fmt: skip


def evaluate(expression: str, series: Series) -> Vector:
    """Return the elements of an instant expression: selectors, max, absent, comparisons with numbers, and, or."""
    parser = _Parser(_TOKEN.finditer(expression), [(*_parts(name), value) for name, value in series.items()])
    found = parser.either()
    if parser.tokens:
        raise ValueError(f"What follows is not understood: {parser.tokens[0]}")
    return found


def _parts(name: str) -> tuple[str, dict[str, str]]:
    bare, _, rest = name.partition("{")
    return bare, dict(re.findall(r'(\w+)="([^"]*)"', rest))


class _Parser:
    def __init__(self, matches: Iterable[re.Match[str]], series: list[tuple[str, dict[str, str], float]]) -> None:
        self.tokens = [match[0].strip() for match in matches]
        self.series = series

    def next_is(self, *wanted: str) -> bool:
        return bool(self.tokens) and self.tokens[0] in wanted

    def take(self, wanted: str = "") -> str:
        token = self.tokens.pop(0)
        if wanted and token != wanted:
            raise ValueError(f"{wanted} was expected, not {token}")
        return token

    def either(self) -> Vector:
        found = self.both()
        while self.next_is("or"):
            self.take()
            found = {**self.both(), **found}
        return found

    def both(self) -> Vector:
        found = self.compared()
        while self.next_is("and"):
            self.take()
            on_nothing = self.next_is("on")
            if on_nothing:
                for token in ("on", "(", ")"):
                    self.take(token)
            other = self.compared()
            found = {labels: value for labels, value in found.items() if (other if on_nothing else labels in other)}
        return found

    def compared(self) -> Vector:
        found = self.single()
        if self.next_is(*_SIGNS):
            holds, limit = _SIGNS[self.take()], float(self.take())
            found = {labels: value for labels, value in found.items() if holds(value, limit)}
        return found

    def single(self) -> Vector:
        if self.next_is("("):
            self.take()
            found = self.either()
            self.take(")")
            return found
        name = self.take()
        if name == "absent":
            found = self.single()
            return {} if found else {frozenset(self.asked_for): 1.0}
        if name == "max":
            return self.greatest()
        return self.select(name)

    def greatest(self) -> Vector:
        kept: list[str] = []
        if self.next_is("by"):
            self.take("by")
            self.take("(")
            kept = [self.take()]
            self.take(")")
        found: Vector = {}
        for labels, value in self.single().items():
            key = frozenset((label, text) for label, text in labels if label in kept)
            found[key] = max(value, found.get(key, value))
        return found

    def select(self, name: str) -> Vector:
        matchers = (
            re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', self.take())
            if self.tokens[:1] and self.tokens[0][0] == "{"
            else []
        )
        self.asked_for = {(label, text) for label, sign, text in matchers if sign == "="}
        return {
            frozenset(labels.items()): value
            for bare, labels, value in self.series
            if bare == name and all(_matches(labels.get(label, ""), sign, text) for label, sign, text in matchers)
        }


def _matches(value: str, sign: str, text: str) -> bool:
    is_match = bool(re.fullmatch(text, value)) if "~" in sign else value == text
    return is_match is not sign.startswith("!")
