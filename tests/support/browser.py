"""A browser of few words: cookies, the headers that browsers set by themselves, and forms as their pages have them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
from litestar import Litestar

_VOID = frozenset({"meta", "link", "input", "img", "br", "hr"})
_LABELLED = frozenset({"input", "select", "textarea"})
_FLOW_ONLY = frozenset(
    {"p", "ul", "ol", "dl", "div", "section", "table", "form", "h1", "h2", "h3", "article"}
)
"""What ends a paragraph that it stands in (https://html.spec.whatwg.org/#the-p-element)."""


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page, read strictly: whatever a browser would have to repair, or a screen reader would miss, is a fault."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.answer = answer
        self.status = answer.status_code
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.faults: list[str] = []
        self._text: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._wanted: list[str] = []
        self._headings: list[int] = []
        self._button: list[str] | None = None
        if answer.headers.get("content-type", "").startswith("text/html") and answer.text:
            self.feed(answer.text)
            self.close()
            self._judge()

    @property
    def text(self) -> str:
        """What one reads, in one line."""
        return " ".join(" ".join(self._text).split())

    def form(self, action: str) -> Form:
        """The first form whose action begins so."""
        return next(one for one in self.forms if one.action.startswith(action))

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in given}
        if len(attributes) != len(given):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.faults += list(self._faults_of(tag, attributes))
        if (one := attributes.get("id")) is not None:
            if one in self._ids:
                self.faults.append(f"the id {one} is there twice")
            self._ids.add(one)
        for name in ("for", "aria-labelledby", "aria-describedby"):
            self._wanted += attributes.get(name, "").split()
        if tag in ("h1", "h2", "h3"):
            self._headings.append(int(tag[1]))
        self._note(tag, attributes)
        if tag not in _VOID:
            self._open.append(tag)

    def _faults_of(self, tag: str, attributes: dict[str, str]) -> Iterator[str]:
        if "p" in self._open and tag in _FLOW_ONLY:
            yield f"<{tag}> within a <p>"
        if tag == "form" and "form" in self._open:
            yield "a form within a form"
        if [name for name in attributes if name.startswith("on") or name == "style"]:
            yield f"<{tag}> has a style or a script of its own"
        if attributes.get("href", "").startswith("javascript:"):
            yield "a link that is a script"
        if tag == "img" and "alt" not in attributes:
            yield "an image without alt"
        if tag == "th" and attributes.get("scope") not in ("row", "col"):
            yield "a header cell without scope"
        if tag in _LABELLED and attributes.get("type") != "hidden" and "label" not in self._open:
            self._wanted.append(f"label-of:{attributes.get('id')}")
        if tag == "label" and "for" in attributes:
            self._ids.add(f"label-of:{attributes['for']}")

    def _note(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "form":
            self.forms.append(Form(attributes.get("method", "get"), attributes.get("action", "")))
        elif tag in _LABELLED and "form" in self._open and "name" in attributes:
            if attributes.get("type") != "checkbox" or "checked" in attributes:
                self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "option" and "selected" in attributes:
            self.forms[-1].fields[list(self.forms[-1].fields)[-1]] = attributes.get("value", "")
        elif tag == "a":
            self.links.append(attributes.get("href", ""))
        elif tag == "button":
            self._button = []

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:] or 'nothing'}")
            return
        self._open.pop()
        if tag == "button" and self._button is not None and "form" in self._open:
            self.forms[-1].buttons.append(" ".join("".join(self._button).split()))
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["title"], ["script"]):
            self._text.append(data)
        if self._button is not None:
            self._button.append(data)

    def _judge(self) -> None:
        if self._open:
            self.faults.append(f"{self._open} are not closed")
        self.faults += [f"nothing is {name}" for name in self._wanted if name not in self._ids]
        if self._headings.count(1) != 1 or self._headings[0] != 1:
            self.faults.append(f"headings are {self._headings}")
        for one, other in zip(self._headings, self._headings[1:], strict=False):
            if other > one + 1:
                self.faults.append(f"a heading of level {other} below one of {one}")
        if not self.answer.text.startswith('<!doctype html>\n<html lang="en">'):
            self.faults.append("no doctype or language")


class Browser:
    """Shows pages of an application under https://payonce.test, and sends their forms."""

    def __init__(self, app: Litestar, origin: str = "https://payonce.test") -> None:
        self.origin = origin
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),  # type: ignore[arg-type]
            base_url=origin,
        )

    async def open(self, path: str, **headers: str) -> Page:
        """The page, behind redirects; every page is checked."""
        answer = await self.http.get(path, headers={"Sec-Fetch-Site": "same-origin", **headers})
        return await self._shown(answer)

    async def send(self, form: Form, **fields: str) -> Page:
        """The form, filled in."""
        sent = {**form.fields, **fields}
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": self.origin}
        if form.method == "get":
            answer = await self.http.get(form.action, params=sent, headers=headers)
        else:
            answer = await self.http.post(form.action, data=sent, headers=headers)
        return await self._shown(answer)

    async def sign_in(self, token: str) -> Page:
        page = await self.open("/console/sign-in")
        return await self.send(page.form("/console/sign-in"), token=token, next="/console/sign-in")

    async def _shown(self, answer: httpx.Response) -> Page:
        for _ in range(5):
            if answer.status_code != 303:
                break
            answer = await self.http.get(
                answer.headers["location"], headers={"Sec-Fetch-Site": "same-origin"}
            )
        page = Page(answer)
        assert page.faults == [], f"{answer.request.url}: {page.faults}"
        return page
