"""The pages in Debian's chromium: opened, clicked and photographed, beside the running box of the demo."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from simulators.small_box import start_box
from tests.edgeflow.web.conftest import Page, served
from tests.support.demo_history import DEMO, demo_box, inspected, labelled, replayed
from tests.support.waiting import wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SIZE = (1024, 768)  # of a panel
IDLE_S = 240.0  # a calculation takes what other tests leave of the processor
PARTS = ("x", "y", "width", "height")

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,  # some of it runs at idle priority
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver"),
]


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of the demo's box, whose parts come again and again."""
    folder = tmp_path_factory.mktemp("demo")
    document = yaml.safe_load((DEMO / "box.yaml").read_text())
    document["bundle"] = str(DEMO / "housing.bundle")
    for camera in document["cameras"].values():
        camera |= {"parts": str(DEMO / "parts"), "loop": True}
    document["trigger"] |= {"timeout_ms": 3000, "period_ms": 1500}
    document["sync"]["max_skew_ms"] = 3000  # a busy machine plays recordings unevenly
    document["decision"]["deadline_ms"] = 20_000
    document["runtime"]["threads"] = 1
    document["outbox"]["path"] = "state/outbox.db"
    document["evidence"]["dir"] = "evidence"
    (folder / "box.yaml").write_text(yaml.safe_dump(document))
    with (folder / "box.log").open("w") as log:
        box = start_box(folder / "box.yaml", "--quiet", out=log)
        try:
            with served(folder / "box.yaml") as page:
                yield page
        finally:
            box.terminate()
            box.wait(timeout=120)


class Browser:
    """A chromium of a panel's size; what its console says is kept."""

    def __init__(self, address: str, language: str = "en") -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(option)
        options.add_argument(f"--accept-lang={language}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        size = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.address = address

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The text of the first match; read in one step, since the page replaces its parts."""
        script = "const found = document.querySelector(arguments[0]); return found ? found.textContent : ''"
        return str(self.driver.execute_script(script, selector)).strip()

    def click(self, selector: str) -> None:
        self.all(selector)[0].click()

    def draw(self, surface: WebElement, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw with a finger, between two places relative to the middle of an element."""
        finger = ActionBuilder(self.driver, mouse=PointerInput("touch", "finger"))
        action = finger.pointer_action
        action.move_to(surface, *start).pointer_down().move_to(surface, *end).pointer_up()
        finger.perform()

    def region(self, place: int) -> list[int]:
        """Left, top, width and height of a region, as the form has it."""
        text = str(self.all("[name=region]")[place].get_attribute("value"))
        return [int(number) for number in text.rpartition(":")[2].split(",")]

    def complaints(self) -> list[str]:
        """Return the errors in the browser's console, such as what the policy blocked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def photograph(self, name: str) -> Image.Image:
        """Take a picture; EDGEFLOW_SCREENSHOTS names a folder that keeps it, for the documentation."""
        data = b""
        while not data:  # the page goes on meanwhile
            wait_until(self.is_loaded)
            before = self.sources()
            taken = self.driver.get_screenshot_as_png()
            data = taken if before == self.sources() else b""
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if folder := os.environ.get("EDGEFLOW_SCREENSHOTS"):
            image.quantize(256, method=Image.Quantize.FASTOCTREE).save(
                Path(folder) / f"{name}.png", optimize=True
            )
        return image

    def sources(self) -> list[str]:
        return list(self.driver.execute_script("return [...document.images].map(image => image.src)"))

    def is_loaded(self) -> bool:
        """True if every picture of the page is there."""
        script = (
            "return [...document.querySelectorAll('img[src]')].every(image => image.complete && "
            "image.naturalWidth > 0 || image.getBoundingClientRect().top > innerHeight)"
        )
        return bool(self.driver.execute_script(script))

    def close(self) -> None:
        self.driver.quit()


@pytest.fixture
def browser(demo_page: Page) -> Iterator[Browser]:
    browser = Browser(demo_page.address)
    yield browser
    browser.close()


def test_the_line_page_lives_and_its_buttons_work(browser: Browser) -> None:
    browser.open("/")
    wait_until(lambda: len(browser.all(".verdicts li")) > 3)
    wait_until(lambda: len(browser.all(".tile img")) == 10)  # five views, image and heat map
    wait_until(browser.is_loaded)
    part = browser.text(".verdict .part")
    wait_until(lambda: browser.text(".verdict .part") != part)
    wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= SIZE[0]
    script = "return parseFloat(getComputedStyle(document.querySelector('.verdict .word')).fontSize)"
    assert browser.driver.execute_script(script) > 50  # read from three metres
    wait_until(lambda: len(browser.all(".verdict.NG")) == 1)
    image = browser.photograph("line")
    assert len(image.getcolors(1 << 20) or ()) > 1000  # there are pictures in it
    browser.click("button.halt")
    wait_until(lambda: len(browser.all(".state.Ready")) == 1)
    assert "Done" in browser.text("#answer")
    browser.click("button.go")
    wait_until(lambda: len(browser.all(".state.ContinuousExecution")) == 1)
    assert browser.complaints() == []


def test_cameras_are_compared_with_the_golden_images(browser: Browser) -> None:
    browser.open("/cameras")
    wait_until(lambda: len(browser.all(".cams .tile img")) == 5 and len(browser.all(".cams table")) == 5)
    assert "golden images" in browser.text(".cams table")
    browser.photograph("cameras")
    assert browser.complaints() == []


def test_parts_are_found_and_judged(browser: Browser) -> None:
    browser.open("/line")
    wait_until(lambda: len(browser.all(".verdicts .NG")) > 1)
    browser.open("/parts")
    wait_until(lambda: len(browser.all("#chart canvas")) == 1)
    browser.photograph("parts")
    browser.open("/review")
    assert len(browser.all(".tile img")) == 10
    browser.photograph("review")
    part = browser.text(".review h1")
    browser.driver.find_element(By.TAG_NAME, "body").send_keys("n")
    wait_until(lambda: browser.text(".review h1") != part)
    browser.open("/parts?labelled=NG")
    assert len(browser.all(".list tbody tr")) == 1
    browser.click(".list a")
    wait_until(browser.is_loaded)
    assert "local" in browser.text(".columns")
    assert browser.complaints() == []


def test_regions_are_drawn_by_finger_and_moved_by_keys(browser: Browser) -> None:
    browser.open("/line")
    wait_until(lambda: len(browser.all(".verdicts .NG")) > 1)
    browser.open("/review")
    wait_until(browser.is_loaded)
    browser.click("[data-draw]")
    wait_until(browser.is_loaded)
    paper = browser.all(".paper")[0]
    for left, top in ((-60, -40), (30, 50)):
        browser.draw(paper, (left, top), (left + 70, top + 50))
    assert len(browser.all(".paper rect[tabindex]")) == len(browser.all("#regions li")) == 2
    browser.draw(paper, (120, 120), (122, 121))  # a tap is no rectangle
    assert len(browser.all("#regions li")) == 2
    before = browser.region(0)
    browser.draw(paper, (-30, -20), (-10, -20))  # from within the first one: it moves
    moved = browser.region(0)
    assert moved[0] > before[0]
    assert moved[1:] == before[1:]
    browser.photograph("regions")
    rectangle = browser.all(".paper rect")[0]
    rectangle.send_keys(Keys.ARROW_DOWN)
    browser.driver.switch_to.active_element.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT)
    left, top, width, height = browser.region(0)
    assert (left, top > moved[1], width > moved[2], height) == (moved[0], True, True, moved[3])
    browser.driver.switch_to.active_element.send_keys(Keys.DELETE)
    browser.click("[data-stage=add]")
    assert len(browser.all("#regions li")) == 2
    browser.click("#regions .remove")
    field = browser.all("#regions [data-part=width]")[0]
    part = browser.text(".review h1")
    browser.driver.execute_script("document.querySelector('button[value=OK]').click()")
    wait_until(lambda: "Regions mark a defect" in browser.text("#trouble"))
    assert len(browser.all("#regions li")) == 1, "nothing is lost"
    browser.complaints()  # chromium reports the answer 400 itself
    field.clear()
    field.send_keys("40")
    kept = browser.region(0)
    kind = browser.all("[name=kind]")[0]
    kind.send_keys("dent", Keys.ENTER)
    wait_until(lambda: browser.text(".review h1") != part)
    browser.open("/parts?labelled=NG")
    browser.driver.find_element(By.XPATH, "//tr[contains(., 'dent')]//a").click()
    wait_until(browser.is_loaded)
    shown = [int(browser.all("svg.drawn rect")[0].get_attribute(name) or 0) for name in PARTS]
    assert shown == kept
    assert "dent" in browser.text(".columns")
    browser.photograph("part")
    assert browser.complaints() == []


def test_new_thresholds_are_looked_at_and_accepted(tmp_path: Path) -> None:
    box = demo_box(tmp_path)
    before = replayed(box)
    inspected(box, before)
    labelled(box, before)
    copied = tmp_path / "bundles/housing.bundle"
    copied.parent.mkdir()
    shutil.copy(DEMO / "housing.bundle", copied)
    with served(box, "--set", f"bundle={copied}") as page:
        browser = Browser(page.address)
        try:
            browser.open("/thresholds")
            browser.all("[name=rate]")[0].send_keys("3", Keys.ENTER)
            wait_until(lambda: len(browser.all(".job")) == 1)
            wait_until(lambda: len(browser.all(".turned article")) == 10, IDLE_S)
            assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= SIZE[0]
            browser.photograph("thresholds")
            browser.driver.execute_script("window.scrollTo(0, document.body.scrollHeight)")
            browser.photograph("accept")
            browser.click(".accept button")
            wait_until(lambda: "would move far" in browser.text("#trouble"))
            browser.complaints()  # chromium reports the answer 400 itself
            browser.click(".check input")
            browser.click(".accept button")
            wait_until(lambda: len(browser.all(".done")) == 1, IDLE_S)
            assert (copied.parent / "housing-fast-3.bundle").is_file()
            assert browser.complaints() == []
        finally:
            browser.close()


def test_the_page_is_german_for_a_german_browser(demo_page: Page) -> None:
    browser = Browser(demo_page.address, "de")
    try:
        browser.open("/line")
        assert browser.text("button.halt") == "Stopp"
    finally:
        browser.close()
