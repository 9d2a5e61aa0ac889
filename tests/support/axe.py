"""What axe finds wrong with a page: rules of WCAG 2.2, A and AA."""

from pathlib import Path

import pytest
from playwright.async_api import Page

AXE = Path(__file__).parents[2] / "app/ui/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
BY_LOOK = {
    "type": "rule",
    "values": ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"],
}
"""What a theme or the width of a window can break: all else is the same page in any."""


async def violations(page: Page, where: str, rules: object = RULES) -> list[tuple[str, str, str]]:
    """Where it is, the rule, and the first element that breaks it. The page's context has to bypass its policy."""
    if not AXE.exists():
        pytest.skip("axe is not here: make ui installs it")
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("(rules) => axe.run({runOnly: rules})", rules)
    return [(where, rule["id"], rule["nodes"][0]["html"][:300]) for rule in found["violations"]]
