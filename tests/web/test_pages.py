"""The pages in a real browser: from a search to the provenance of a number, and triage by keyboard."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import NIGHTS

SIZES = [(1280, 900), (390, 844)]


def busiest(page: Page) -> str:
    answer = page.request.get("/ztf/v1/objects?order_by=ndet&page_size=1")
    return answer.json()["items"][0]["oid"]


def test_from_a_search_to_the_provenance_of_an_epoch(page: Page) -> None:
    oid = busiest(page)
    page.goto("/explorer")
    page.fill("#oid", oid[:6] + "*")
    page.click("text=Search")
    assert "oid=" in page.url
    assert "class=" not in page.url
    page.click("th >> text=Detections")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Detections")
    page.click(f"#results >> text={oid}")
    expect(page.locator("h1")).to_have_text(oid)

    points = page.locator("#plot .point.detection")
    expect(points.first).to_be_visible()
    flat = points.count()
    assert flat > 3
    page.check("[name=fold]")
    expect(points).to_have_count(2 * flat)
    before = page.locator("#period").input_value()
    page.locator("#slide").press("ArrowRight")
    assert page.locator("#period").input_value() != before
    page.click("#search")
    expect(page.locator("#periodogram .curve-line")).to_be_visible()
    page.locator("#periodogram svg").click(position={"x": 300, "y": 60})
    page.uncheck("[name=fold]")
    for quantity in ("apparent", "flux", "difference"):
        page.check(f"[name=quantity][value={quantity}]")
        assert page.locator("#plot .point").count() > 0

    stamped = page.locator("#plot .point.has-stamp").first
    stamped.locator(":not(.error)").click(force=True)
    expect(stamped).to_have_class(re.compile(r"\bselected\b"))
    candid = page.locator("#stamps").get_attribute("data-candid")
    images = page.locator("#stamps img")
    expect(images).to_have_count(3)
    for i in range(3):
        assert f"/alerts/{candid}/" in (images.nth(i).get_attribute("src") or "")
        page.wait_for_function("i => document.querySelectorAll('#stamps img')[i].naturalWidth > 0", arg=i)

    page.click("#open-packet")
    page.fill("#packet-filter", "candid")
    expect(page.locator("#packet-fields")).to_contain_text(str(candid))
    page.keyboard.press("Escape")
    page.click("#open-provenance")
    drawer = page.locator("#provenance")
    expect(drawer).to_contain_text(str(candid))
    for word in ("content hash", "batch", "packet", "classifications", "model"):
        expect(drawer).to_contain_text(word)


def test_a_search_is_saved_and_walked_by_keys(page: Page) -> None:
    page.goto("/explorer?class=VS&classifier=stamp_classifier")
    page.once("dialog", lambda dialog: dialog.accept("my stars"))
    page.click("#save")
    page.goto("/explorer")
    page.click("#saved >> text=my stars")
    expect(page.locator("#class")).to_have_value("VS")
    names = page.locator("#results tbody tr td:first-child").all_inner_texts()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("#results tbody a").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(names[0])
    page.goto("/explorer")
    page.click("#saved button")
    expect(page.locator("#saved a")).to_have_count(0)


def test_every_column_sorts_both_ways(page: Page) -> None:
    place = page.request.get(f"/api/v1/objects/{busiest(page)}").json()["object"]
    page.goto(f"/explorer?position={place['ra']}+{place['dec']}&radius=36000")
    count = page.locator("#results thead th a").count()
    assert count == 9  # all but the light curve; the distance, as it is a cone
    for i in range(count):
        name = page.locator("#results thead th a").nth(i).inner_text().strip(" ↑↓")
        orders = set()
        for _ in range(2):
            page.locator("#results thead th a").nth(i).click()
            head = page.locator("#results thead th[aria-sort]")
            expect(head).to_contain_text(name)
            orders.add(head.get_attribute("aria-sort"))
        assert orders == {"ascending", "descending"}, name
    assert page.locator("#results .sparkline").count() == page.locator("#results tbody tr").count()


def with_features(page: Page) -> str:
    """An object whose light curve was fitted."""
    for item in page.request.get("/ztf/v1/objects?order_by=ndet&page_size=20").json()["items"]:
        if page.request.get(f"/api/v1/objects/{item['oid']}/models").json()["models"]:
            return item["oid"]
    raise AssertionError("no object of the sample has features")


def test_fitted_models_are_drawn_over_the_light_curve(page: Page) -> None:
    oid = with_features(page)
    told = page.request.get(f"/api/v1/objects/{oid}/models").json()
    assert told["newer"] == 0
    page.goto(f"/objects/{oid}")
    expect(page.locator("#plot .model-line")).to_have_count(0)
    page.check("[name=models]")
    expect(page.locator("#plot .model-line")).to_have_count(len(told["models"]))
    expect(page.locator("#models")).to_contain_text("supernova parametric model")
    page.check("[name=quantity][value=flux]")
    walks = [model for model in told["models"] if model["model"] == "DRW"]
    expect(page.locator("#plot .model-band")).to_have_count(len(walks))
    page.check("[name=fold]")  # a model of time has no phase
    expect(page.locator("#plot .model-line")).to_have_count(0)


def test_the_stored_period_folds_the_light_curve(page: Page) -> None:
    oid = with_features(page)
    features = page.request.get(f"/ztf/v1/objects/{oid}/features/Multiband_period").json()
    page.goto(f"/objects/{oid}")
    page.check("[name=fold]")
    page.fill("#period", "3")
    page.click("#stored-period")
    assert float(page.locator("#period").input_value()) == pytest.approx(features[0]["value"], rel=1e-6)


ALADIN_STAND_IN = """
const told = [];
window.told = told;
const layer = (kind) => (options) => ({ kind, options, add: (shape) => told.push([kind, shape]),
  addSources: (sources) => told.push([options.name, sources.length]) });
window.A = { init: Promise.resolve(), aladin: (place, options) => { told.push(["aladin", options.target]);
    return { addOverlay() {}, addCatalog() {} }; },
  graphicOverlay: layer("overlay"), catalog: layer("catalog"), polygon: (corners) => corners, circle: (...a) => a,
  source: (ra, dec) => [ra, dec], catalogFromSimbad: () => 0, catalogFromVizieR: () => 0 };
"""


def test_the_sky_is_loaded_when_asked_for_and_its_absence_is_said(page: Page) -> None:
    oid = busiest(page)
    stand_in = {"body": ALADIN_STAND_IN, "content_type": "text/javascript"}
    page.route("https://aladin.cds.unistra.fr/**", lambda route: route.fulfill(**stand_in))
    page.goto(f"/objects/{oid}")
    page.click("#open-sky")
    frame = page.frame_locator("#sky iframe")
    expect(frame.locator("body[data-state=shown]")).to_be_attached()
    told = dict(page.frames[1].evaluate("window.told"))
    place = page.request.get(f"/api/v1/objects/{oid}").json()["object"]
    assert told["aladin"] == f"{place['ra']} {place['dec']}"
    assert len(told["overlay"]) == 4  # corners of the cutouts' footprint
    assert told["detections"] == place["n_det"]
    assert page.frames[1].evaluate("self.origin") == "null"  # it can act for nobody here


def test_without_the_cds_the_page_says_so(browser: Browser, open_web: str) -> None:
    page = browser.new_page(base_url=open_web)
    page.route("https://aladin.cds.unistra.fr/**", lambda route: route.abort())
    page.goto(f"/objects/{busiest(page)}")
    page.click("#open-sky")
    expect(page.frame_locator("#sky iframe").locator("#aladin")).to_contain_text("cannot be reached from here")
    page.close()


def test_points_can_be_reached_by_keyboard(page: Page) -> None:
    page.goto(f"/objects/{busiest(page)}")
    page.focus("#plot svg")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#plot .point.selected")).to_have_count(1)


def test_candidates_are_decided_by_keys_and_kept(page: Page) -> None:
    page.goto(f"/hunter?night={NIGHTS[0]}")
    page.fill("#person", "Vera Rubin")
    page.locator("#person").blur()
    names = page.locator("#candidates .pick").all_inner_texts()
    assert len(names) >= 2
    expect(page.locator("#name")).to_have_text(names[0])
    page.keyboard.press("c")
    expect(page.locator("#name")).to_have_text(names[1])
    page.keyboard.press("b")
    expect(page.locator("#candidates .decision").nth(1)).to_have_text("bogus")
    page.keyboard.press("ArrowUp")
    page.reload()
    expect(page.locator("#candidates .decision").nth(0)).to_have_text("candidate")
    expect(page.locator("#said")).to_contain_text("candidate by Vera Rubin")
    stored = page.request.get(f"/api/v1/decisions?oid={names[0]}").json()[0]
    assert (stored["verdict"], stored["person"]) == ("candidate", "Vera Rubin")
    assert stored["candid"]
    expect(page.locator(".skymap .place.current")).to_have_count(1)


def test_decided_candidates_can_be_left_out(page: Page) -> None:
    page.goto(f"/hunter?night={NIGHTS[1]}")
    names = page.locator("#candidates .pick").all_inner_texts()
    assert len(names) >= 3
    page.keyboard.press("k")
    expect(page.locator("#done")).to_have_text(f"1 of {len(names)} decided")
    page.check("#open-only")
    page.locator("#open-only").blur()
    expect(page.locator("#candidates tbody tr:visible")).to_have_count(len(names) - 1)
    page.keyboard.press("ArrowUp")  # over the hidden one: nothing is above
    expect(page.locator("#name")).to_have_text(names[1])
    page.keyboard.press("s")
    expect(page.locator("#name")).to_have_text(names[2])
    expect(page.locator("#facts")).to_contain_text("Pan-STARRS1")
    expect(page.locator("#facts")).to_contain_text("host")


def test_without_the_right_to_write_the_page_says_so(browser: Browser, served_web: str) -> None:
    page = browser.new_page(base_url=served_web)
    page.goto("/hunter")
    page.keyboard.press("c")
    expect(page.locator("#said")).to_contain_text("Not stored: writing needs the token")
    page.fill("#token", "secret")
    page.locator("#token").blur()
    page.keyboard.press("s")
    expect(page.locator("#candidates .decision").first).to_have_text("skip")
    page.close()


# Text and its ground, as the browser computed them (WCAG 2.2, 1.4.3): what falls short of 4.5, or 3 where large.
_LOW_CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const style = getComputedStyle(node);
    if (!own || style.visibility === "hidden" || !node.getClientRects().length || node.closest("[disabled]")) continue;
    const drawn = node instanceof SVGElement;
    let place = node, ground = [0, 0, 0, 0];
    while (place && (ground.length > 3 && ground[3] === 0)) {
      ground = rgb(getComputedStyle(place).backgroundColor);
      place = place.parentElement;
    }
    const [a, b] = [light(rgb(drawn ? style.fill : style.color)), light(ground)].sort((p, q) => q - p);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    const said = node.textContent.trim().slice(0, 30);
    if (ratio < (large ? 3 : 4.5)) low.push(`${node.tagName} ${said} ${ratio.toFixed(2)}`);
  }
  return low;
}"""
# What has no name that a screen reader could say.
_NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, img, svg[role], dialog")]
  .filter((node) => node.type !== "hidden" && !node.ariaLabel && !node.getAttribute("aria-labelledby") && !node.alt
    && !(node.labels?.length) && !node.textContent.trim() && !node.title)
  .map((node) => node.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}px")
def test_every_page_is_legible_and_fits(
    browser: Browser, open_web: str, theme: str, size: tuple[int, int], tmp_path: Path
) -> None:
    context = browser.new_context(base_url=open_web, viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
    page = context.new_page()
    oid = with_features(page)
    for path in ("/", "/explorer?class=SN", "/explorer?position=x", f"/objects/{oid}", "/hunter", "/api", "/nothing"):
        page.goto(path)
        page.wait_for_load_state("load")
        if "/objects/" in path:
            page.check("[name=models]")
            expect(page.locator("#models table")).to_be_visible()
        page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
        assert page.evaluate(_LOW_CONTRAST) == [], path
        assert page.evaluate(_NAMELESS) == [], path
        assert page.locator("h1").count() == 1
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
        assert len(ids) == len(set(ids)), path
    context.close()


def test_nothing_is_fetched_from_elsewhere(page: Page, open_web: str) -> None:
    """The pages work without a network."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/explorer", f"/objects/{busiest(page)}", "/hunter", "/api"):
        page.goto(path)
        page.wait_for_load_state("load")
    assert [url for url in asked if not url.startswith((open_web, "data:"))] == []
