"""Filters that change text."""

import html
import re

from domain.language.filters.filter import Filters, whole_number
from domain.language.spelling import spelled

ALL = Filters()
_LINE_END = re.compile(r"\r?\n")
_BARE = re.compile(r"""["'<>]|&(?!(?:[a-zA-Z]{1,32}|#[0-9]{1,10});)""")
_JS = {character: f"\\u{ord(character):04X}" for character in "\\'\"><&=-;`\u2028\u2029" + "".join(map(chr, range(32)))}
_JS_TABLE = str.maketrans(_JS)
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_CLOSERS = {"<script": "</script>", "<style": "</style>", "<!--": "-->"}


@ALL.add("append", "{{ 'invoice' | append: '.pdf' }}", "invoice.pdf")
def append(value: object, text: object) -> str:
    """Adds text at the end."""
    return spelled(value) + spelled(text)


@ALL.add("prepend", "{{ 'Doe' | prepend: 'Jane ' }}", "Jane Doe")
def prepend(value: object, text: object) -> str:
    """Adds text at the beginning."""
    return spelled(text) + spelled(value)


@ALL.add("capitalize", "{{ 'my GREAT title' | capitalize }}", "My great title")
def capitalize(value: object) -> str:
    """Capitalizes the first letter and lowers all others."""
    return spelled(value).capitalize()


@ALL.add("downcase", "{{ 'ADA' | downcase }}", "ada")
def downcase(value: object) -> str:
    """Lowers all letters."""
    return spelled(value).lower()


@ALL.add("upcase", "{{ 'ada' | upcase }}", "ADA")
def upcase(value: object) -> str:
    """Capitalizes all letters."""
    return spelled(value).upper()


@ALL.add("strip", "{{ '  ada ' | strip }}", "ada")
def strip(value: object) -> str:
    """Removes white space from both ends."""
    return spelled(value).strip()


@ALL.add("lstrip", "{{ '  ada' | lstrip }}", "ada")
def lstrip(value: object) -> str:
    """Removes white space from the beginning."""
    return spelled(value).lstrip()


@ALL.add("rstrip", "{{ 'ada  ' | rstrip }}", "ada")
def rstrip(value: object) -> str:
    """Removes white space from the end."""
    return spelled(value).rstrip()


@ALL.add("squish", "{{ ' a   b ' | squish }}", "a b")
def squish(value: object) -> str:
    """Removes white space from both ends, and shortens it to one blank inside."""
    return " ".join(spelled(value).split())


@ALL.add("strip_newlines", "{{ trigger.body.lines | strip_newlines }}", "ab")
def strip_newlines(value: object) -> str:
    """Removes line breaks."""
    return _LINE_END.sub("", spelled(value))


@ALL.add("newline_to_br", "{{ trigger.body.lines | newline_to_br | strip_newlines }}", "a<br />b")
def newline_to_br(value: object) -> str:
    """Puts an HTML line break before each line break."""
    return _LINE_END.sub("<br />\n", spelled(value))


@ALL.add("strip_html", "{{ '<b>Hello</b>' | strip_html }}", "Hello")
def strip_html(value: object) -> str:
    """Removes HTML tags and comments, and scripts and styles with what is in them."""
    text = spelled(value)
    lower = text.translate(_LOWER)
    parts: list[str] = []
    position, gone = 0, set[str]()
    while (start := text.find("<", position)) >= 0:
        opened = next((opener for opener in _CLOSERS if lower.startswith(opener, start)), "")
        for closer in (_CLOSERS.get(opened, ">"), ">"):
            end = -1 if closer in gone else lower.find(closer, start)
            if end >= 0:
                break
            gone.add(closer)
        else:
            break
        parts.append(text[position:start])
        position = end + len(closer)
    return "".join((*parts, text[position:]))


@ALL.add("escape", "{{ 'a < b & c' | escape }}", "a &lt; b &amp; c")
def escape(value: object) -> str:
    """Escapes the characters that have a meaning in HTML."""
    return html.escape(spelled(value)).replace("&#x27;", "&#39;")


@ALL.add("escape_once", "{{ '1 &lt; 2 & 3' | escape_once }}", "1 &lt; 2 &amp; 3")
def escape_once(value: object) -> str:
    """Escapes the characters that have a meaning in HTML, except in entities."""
    return _BARE.sub(lambda found: html.escape(found[0]).replace("&#x27;", "&#39;"), spelled(value))


@ALL.add("escapejs", """{{ 'say "hi"' | escapejs }}""", "say \\u0022hi\\u0022")
def escapejs(value: object) -> str:
    """Escapes the characters that have a meaning in JavaScript strings."""
    return spelled(value).translate(_JS_TABLE)


@ALL.add("safe", "{{ 'a & b' | safe }}", "a & b")
def safe(value: object) -> str:
    """Leaves text as it is: nothing is escaped unless a filter says so."""
    return spelled(value)


@ALL.add("remove", "{{ 'a-b-c' | remove: '-' }}", "abc")
def remove(value: object, text: object) -> str:
    """Removes every occurrence of a text."""
    return spelled(value).replace(spelled(text), "")


@ALL.add("remove_first", "{{ 'a-b-c' | remove_first: '-' }}", "ab-c")
def remove_first(value: object, text: object) -> str:
    """Removes the first occurrence of a text."""
    return spelled(value).replace(spelled(text), "", 1)


@ALL.add("remove_last", "{{ 'a-b-c' | remove_last: '-' }}", "a-bc")
def remove_last(value: object, text: object) -> str:
    """Removes the last occurrence of a text."""
    return replace_last(value, text, "")


@ALL.add("replace", "{{ 'a-b-c' | replace: '-', '/' }}", "a/b/c")
def replace(value: object, text: object, by: object = "") -> str:
    """Replaces every occurrence of a text."""
    return spelled(value).replace(spelled(text), spelled(by))


@ALL.add("replace_first", "{{ 'a-b-c' | replace_first: '-', '/' }}", "a/b-c")
def replace_first(value: object, text: object, by: object = "") -> str:
    """Replaces the first occurrence of a text."""
    return spelled(value).replace(spelled(text), spelled(by), 1)


@ALL.add("replace_last", "{{ 'a-b-c' | replace_last: '-', '/' }}", "a-b/c")
def replace_last(value: object, text: object, by: object) -> str:
    """Replaces the last occurrence of a text."""
    whole, old = spelled(value), spelled(text)
    at = whole.rfind(old)
    return whole if at < 0 else whole[:at] + spelled(by) + whole[at + len(old) :]


@ALL.add("split", "{{ 'a,b,c' | split: ',' | last }}", "c")
def split(value: object, separator: object) -> list[str]:
    """Splits text at a separator; an empty one splits it into characters. Empty parts at the end are left out."""
    text, between = spelled(value), spelled(separator)
    if not between:
        return list(text)
    parts = text.split(None if between == " " else between)
    while parts and not parts[-1]:
        parts.pop()
    return parts


@ALL.add("slice", "{{ 'triggerhub' | slice: 0, 7 }}", "trigger")
def slice_(value: object, start: object, length: object = 1) -> object:
    """Cuts out a part of text or of a list, from a place counted from 0, or from the end if negative."""
    whole = value if isinstance(value, str | list | tuple | range) else spelled(value)
    first, many = whole_number(start), whole_number(length)
    end = None if first < 0 <= first + many else first + many
    return whole[first:end] if isinstance(whole, str) else list(whole[first:end])


@ALL.add("truncate", "{{ 'a long story' | truncate: 9 }}", "a long...")
def truncate(value: object, length: object = 50, end: object = "...") -> str:
    """Cuts text to a length that includes the ending."""
    text, limit, ending = spelled(value), whole_number(length), spelled(end)
    return text if len(text) <= limit else text[: max(0, limit - len(ending))] + ending


@ALL.add("truncatewords", "{{ 'a long story' | truncatewords: 2 }}", "a long...")
def truncatewords(value: object, words: object = 15, end: object = "...") -> str:
    """Cuts text to a number of words."""
    text, limit = spelled(value), max(1, whole_number(words))
    parts = text.split(None, min(limit, len(text)))
    return text if len(parts) <= limit else " ".join(parts[:limit]) + spelled(end)
