"""Feeds as they come: three formats, their oddities, and what is none."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.connectors.rss import entries
from domain.connector.http_client import HttpReply
from domain.connector.poll import PollFailed

RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:content="c" xmlns:dc="d"><channel><title>T</title>
<item><title>Two &amp; a half</title><link>https://example.com/2</link><guid isPermaLink="false">2</guid>
<pubDate>Fri, 02 Jan 2026 10:00:00 +0100</pubDate><dc:creator>Ada</dc:creator>
<category>a</category><category>b</category>
<description>short</description><content:encoded><![CDATA[<p>long</p>]]></content:encoded>
<enclosure url="https://example.com/2.mp3" type="audio/mpeg" length="9"/></item>
<item><title>One</title><link>https://example.com/1</link><pubDate>Thu, 01 Jan 2026 10:00:00 GMT</pubDate></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>
<entry><id>urn:1</id><title type="html">One</title><link rel="self" href="https://example.com/self"/>
<link href="https://example.com/1"/><published>2026-01-01T10:00:00Z</published><updated>2026-01-03T10:00:00Z</updated>
<author><name>Ada</name></author><category term="a"/><summary>short</summary></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="r" xmlns="http://purl.org/rss/1.0/" xmlns:dc="d">
<channel rdf:about="c"><title>T</title></channel>
<item rdf:about="https://example.com/1"><title>One</title><link>https://example.com/1</link>
<dc:date>2026-01-01T10:00:00Z</dc:date></item></rdf:RDF>"""


def reply(text: str | bytes, content_type: str = "application/xml") -> HttpReply:
    body = text.encode() if isinstance(text, str) else text
    return HttpReply(status=200, headers={"content-type": content_type}, body=body, size=len(body))


def test_rss() -> None:
    one, two = entries(reply(RSS, "application/rss+xml; charset=utf-8"))
    assert (one.key, two.key) == ("https://example.com/1", "2")
    assert two.body == {
        "id": "2",
        "title": "Two & a half",
        "link": "https://example.com/2",
        "published": "2026-01-02T09:00:00+00:00",
        "updated": None,
        "author": "Ada",
        "summary": "short",
        "content": "<p>long</p>",
        "categories": ["a", "b"],
        "enclosures": [{"url": "https://example.com/2.mp3", "type": "audio/mpeg", "length": "9"}],
    }


def test_atom() -> None:
    (one,) = entries(reply(ATOM, "application/atom+xml"))
    assert isinstance(one.body, dict)
    assert (one.key, one.body["title"], one.body["link"]) == ("urn:1", "One", "https://example.com/1")
    assert (one.body["author"], one.body["categories"]) == ("Ada", ["a"])
    assert one.body["updated"] == "2026-01-03T10:00:00+00:00"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('<div xmlns="http://www.w3.org/1999/xhtml">Hello</div>', "Hello"),
        ("<div><p>Hello</p><p>to <b>you</b></p><img src='x'/></div>", "Hello to you"),
        ("<div><h1 class='a'>Hello</h1></div>", "Hello"),
        ("<div/>", "short"),
    ],
)
def test_text_of_xhtml_is_that_of_all_its_elements(content: str, text: str) -> None:
    wanted = f'<content type="xhtml">{content}</content></entry>'
    (one,) = entries(reply(ATOM.replace("</entry>", wanted), "application/atom+xml"))
    assert isinstance(one.body, dict)
    assert (one.body["content"] or one.body["summary"]) == text


def test_atom_whose_names_have_a_prefix() -> None:
    prefixed = re.sub(r"<(/?)(?=[a-z])", r"<\1a:", ATOM).replace("xmlns=", "xmlns:a=")
    assert entries(reply(prefixed)) == entries(reply(ATOM))


def test_a_web_page_is_called_one() -> None:
    with pytest.raises(PollFailed, match="a web page"):
        entries(reply("<!doctype html><html><p>Hi</html>", "text/html; charset=utf-8"))


def test_rdf() -> None:
    (one,) = entries(reply(RDF))
    assert isinstance(one.body, dict)
    assert (one.key, one.body["published"]) == ("https://example.com/1", "2026-01-01T10:00:00+00:00")


def test_a_feed_in_another_charset_is_read_in_it() -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><rss><channel><item><title>Käse</title></item></channel></rss>'
    (one,) = entries(reply(text.encode("latin-1"), "text/html"))
    assert isinstance(one.body, dict)
    assert one.body["title"] == "Käse"


def test_an_empty_feed_has_no_entries() -> None:
    assert entries(reply("<rss><channel/></rss>")) == ()
    assert entries(reply("<rss><channel><item/></channel></rss>"))[0].key == " "


LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><rss><channel><title>&b;</title></channel></rss>'


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><rss/>',
        "<!doctype html><html><body>Hi<br></body></html>",
        "<html><body>Hi</body></html>",
        "{}",
        "",
        "<rss>" * 100,
        b'<?xml version="1.0" encoding="utf-8"?><rss>\xff\xfe</rss>',
        b"\x00\x01\x02",
    ],
)
def test_what_is_no_feed_is_refused_with_a_reason(text: str | bytes) -> None:
    with pytest.raises(PollFailed) as refused:
        entries(reply(text))
    assert refused.value.code == "not_a_feed"
    assert refused.value.message.startswith("the answer is not")


TEXTS = st.one_of(st.text(max_size=300), st.binary(max_size=300), st.sampled_from([RSS, ATOM, RDF]))


@given(TEXTS, st.integers(0, 400))
def test_nothing_else_is_raised(text: str | bytes, cut: int) -> None:
    with suppress(PollFailed):
        entries(reply(text[:cut] if cut < len(text) else text))
