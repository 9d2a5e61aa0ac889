"""Which filters are there, and what does each make of any JSON value?"""

from domain.language.filters import dates, encodings, lists, numbers, patterns, text
from domain.language.filters.filter import Filter, FilterError
from domain.values.json import JsonObject

FILTERS: dict[str, Filter] = {
    filter_.name: filter_
    for module in (text, encodings, patterns, numbers, lists, dates)
    for filter_ in module.ALL.filters
}
"""All filters by name, each with one line of documentation and an example."""

EXAMPLE: JsonObject = {
    "trigger": {
        "body": {
            "name": " Ada ",
            "customer": {"name": "Ada"},
            "lines": "a\nb",
            "tags": ["b", "a", "b"],
            "items": [{"sku": "y", "price": 2.2}, {"sku": "x", "price": 1.5}],
        }
    }
}
"""The data of the examples."""

__all__ = ["EXAMPLE", "FILTERS", "Filter", "FilterError"]
