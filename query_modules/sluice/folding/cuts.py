"""Which pieces of a text give way to others once it is folded."""

from __future__ import annotations

from sluice.cypher.lexer import Kind, Token
from sluice.folding.query import Cut, Edge, Node, Part, Pattern
from sluice.folding.token_stream import NotUnderstood, TokenStream
from sluice.folding.words import is_name


class Cuts:
    """Gathers the cuts of one text while it is parsed."""

    def __init__(self, source: TokenStream) -> None:
        self._source = source
        self._cuts: list[Cut] = []
        "Of all but the parameters that stay where they are."
        self._maps: set[int] = set()
        "Where those parameters begin that stand for all that SET gives to a variable."
        self._made = 0

    def remove(self, start: int) -> None:
        """Everything from `start` up to where the text has been parsed goes."""
        self._cuts.append(Cut(start, self._source.previous_end))

    def hand_on_row(self) -> None:
        """The row is added to the list of names that ends here."""
        end = self._source.previous_end
        self._cuts.append(Cut(end, end, Part.ROW, before=", "))

    def note_map(self, token: Token) -> None:
        """SET gives a variable the expression that starts with the token and ends here: is it just a parameter?"""
        if token.kind is Kind.PARAMETER and self._source.previous_end == token.start + len(token.text):
            self._maps.add(token.start)

    def move_maps(self, patterns: list[Pattern]) -> None:
        """`CREATE (v $map)` takes parameters only: once folded it is `CREATE (v) SET v = row`."""
        elements = [element for pattern in patterns for element in pattern.elements]
        filled = {element.variable for element in elements if element.map}
        if any(filled & value.variables for element in elements for value in element.properties.values()):
            raise NotUnderstood("CREATE reads what it is about to make")
        for element in elements:
            self._move_map(element)

    def _move_map(self, element: Node | Edge) -> None:
        if element.map is None:
            return
        variable = element.variable
        if variable.startswith("@"):
            after_bracket = int(variable[1:]) + 1
            variable = self._new_variable()
            self._cuts.append(Cut(after_bracket, after_bracket, before=variable))
        elif not (variable.isascii() and variable.isidentifier()):
            raise NotUnderstood("a new vertex or edge with a quoted name is made of a map")
        end = self._source.previous_end
        self._cuts.append(Cut(element.map.start, element.map.end))
        self._cuts.append(Cut(end, end, Part.MAP, (element.map.name, ""), before=f" SET {variable} = "))

    def _new_variable(self) -> str:
        self._made += 1
        name = f"made_{self._made}"
        return self._new_variable() if any(token.value.lower() == name for token in self._source.tokens) else name

    def in_order(self) -> list[Cut]:
        """All cuts, those of the parameters too, in the order of the text."""
        cuts = list(self._cuts)
        for number, token in enumerate(self._source.tokens):
            if token.kind is Kind.PARAMETER and not any(cut.start <= token.start < cut.end for cut in self._cuts):
                cuts.append(self._parameter(number))
        return sorted(cuts, key=lambda cut: cut[:2])

    def _parameter(self, number: int) -> Cut:
        """The cut for the parameter that token `number` is, and the property of it that is asked for."""
        token, dot, name, then = (*self._source.tokens[number : number + 4], None, None, None)[:4]
        assert token is not None
        end = token.start + len(token.text)
        if dot is None or dot.text != ".":
            return Cut(token.start, end, Part.MAP if token.start in self._maps else Part.VALUE, (token.value, ""))
        if name is None or name.kind is not Kind.NAME or not is_name(name.text):
            return Cut(token.start, end, Part.OWNER, (token.value, ""))
        part = Part.OWNER if then is not None and then.text == "." else Part.VALUE
        return Cut(token.start, name.start + len(name.text), part, (token.value, name.text))
