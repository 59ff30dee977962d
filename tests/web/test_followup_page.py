"""Observability on the object page, in a real browser: choose a site, another evening, and find the site again."""

import re

from playwright.sync_api import Page, expect

from tests.web.test_pages import busiest


def test_a_site_is_chosen_by_keyboard_and_remembered(page: Page) -> None:
    page.goto(f"/objects/{busiest(page)}")
    panel = page.locator("#visibility")
    expect(panel.locator("svg")).to_be_visible()
    page.select_option("#site", "hanle")
    expect(panel.locator("svg")).to_have_attribute("aria-label", re.compile("night at Hanle"))
    expect(page.locator("#site")).to_be_focused()
    page.fill("#evening", "2024-03-01")
    expect(panel).to_contain_text("2024-03-0")
    page.reload()
    expect(page.locator("#site")).to_have_value("hanle")
