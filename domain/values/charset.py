"""Bytes as text: in the charset that is named, else in UTF-8, or windows-1252 where they are no UTF-8.

A byte order mark counts more, and is no part of the text. Bytes that are no text in a charset that is named are U+FFFD.
"""

import codecs
import re

SHOWS_ITSELF = frozenset({"", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})
"""No charset, and those in which JSON and XML show by their first bytes how they are written."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FIRST_OF_MARKS = frozenset(mark[:1] for mark, _ in _MARKS)
# Only real text: Python also has codecs like punycode and idna, whose cost is quadratic.
_KNOWN = re.compile(
    r"utf-8|utf-16(?:-[lb]e)?|utf-32(?:-[lb]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-roman"
    r"|shift_jis(?:_2004|x0213)?|euc_(?:jp|kr|jis_2004|jisx0213)|iso2022_(?:jp|kr)\w*|gb2312|gbk|gb18030|big5|big5hkscs"
)
_LABELS = {
    "cn-big5": "big5", "dos-874": "cp874", "iso-10646-ucs-2": "utf-16", "iso-8859-8-i": "iso8859-8", "koi8": "koi8-r",
    "mac": "mac-roman", "tis-620": "cp874", "ucs-2": "utf-16", "windows-31j": "cp932", "windows-874": "cp874",
    "windows-949": "cp949", "x-euc-jp": "euc_jp", "x-gbk": "gbk", "x-mac-roman": "mac-roman", "x-sjis": "cp932",
}  # fmt: skip
"""Names that senders use and Python does not know."""
_MEANT = {"ascii": "utf-8", "shift_jis": "cp932", "gb2312": "gbk", "euc_kr": "cp949"}
"""What senders that name one of these write in truth: it has all that the named one has, and more.

Source: WHATWG Encoding §4.2.
"""
_READ = {"iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874"}
"""The same, of charsets that are written as they are named: not all readers know what is meant."""
_GUESS = "cp1252"
"""Of what names no charset and is no UTF-8, as in browsers: forms of old pages, and tables from Excel."""
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{1,200}?\sencoding=["']([A-Za-z0-9._:-]{1,40})["']""")


def charset_of(name: str) -> str:
    """The codec that reads a charset, empty where it is none or not known. ASCII is a part of UTF-8."""
    codec = written_in(name)
    return _READ.get(codec, codec)


def written_in(name: str) -> str:
    """The codec that writes a charset, empty where it is none or not known."""
    try:
        codec = codecs.lookup(_LABELS.get(name.strip().lower(), name)).name if name else ""
    except (LookupError, ValueError):
        return ""
    codec = _MEANT.get(codec, codec)
    return codec if _KNOWN.fullmatch(codec) else ""


def marked(content: bytes) -> str:
    """The charset that a byte order mark shows, empty where there is none."""
    if content[:1] not in _FIRST_OF_MARKS:
        return ""
    return next((charset for mark, charset in _MARKS if content.startswith(mark)), "")


def declared(content: bytes) -> str:
    """The charset that an XML document says it is in; empty where it says none, or one that shows itself."""
    found = _DECLARED.match(content)
    charset = charset_of(found[1].decode()) if found else ""
    return "" if charset in SHOWS_ITSELF else charset


def text_of(content: bytes, charset: str = "") -> str:
    """The text; `charset` as `charset_of` gives it."""
    named = marked(content) or charset
    return content.decode(named, "replace").removeprefix("\ufeff") if named else _guessed(content)


def unescaped(text: str) -> str:
    """Text that was read as UTF-8 with `surrogateescape`, read again where it is none."""
    return text if text.isascii() else _guessed(text.encode("utf-8", "surrogateescape"))


def of_header(value: str) -> str:
    """A header's text, which was read as Latin-1: most senders write UTF-8."""
    try:
        return value if value.isascii() else _guessed(value.encode("latin-1"))
    except UnicodeEncodeError:
        return value


def _guessed(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode(_GUESS, "replace")
