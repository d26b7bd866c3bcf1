"""Parsed HTML pages, for tests of reports."""

import html.parser

VOID = {"meta", "img", "link", "br", "hr"}


class Page(html.parser.HTMLParser):
    """A page whose elements are closed in order: tags with attributes, texts by element."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.texts = [], [], {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        for tag in set(self.open):
            self.texts[tag][-1] += text

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]
