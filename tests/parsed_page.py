"""A page as a browser's parser sees it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page as a browser's parser sees it: elements with attributes and the text inside."""

    VOID = ("meta", "link", "input", "img", "br")

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        texts: list[str] = []
        self.elements.append((tag, dict(attrs), texts))
        if tag not in self.VOID:
            self._open.append((tag, texts))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, data):
        for _, texts in self._open:
            texts.append(data)

    def all(self, tag, **attributes):
        """(attributes, text) of every such element; `class_` matches one of its classes."""
        wanted = attributes.pop("class_", None)
        return [
            (attrs, "".join(texts))
            for name, attrs, texts in self.elements
            if name == tag
            and (wanted is None or wanted in (attrs.get("class") or "").split())
            and all(attrs.get(key) == value for key, value in attributes.items())
        ]

    def rows(self):
        """The cells of every table row."""
        rows: list[list[str]] = []
        for tag, _, texts in self.elements:
            if tag == "tr":
                rows.append([])
            elif tag in ("th", "td"):
                rows[-1].append("".join(texts).strip())
        return rows
