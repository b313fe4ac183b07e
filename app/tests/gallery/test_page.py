"""What a person sees: a real gallery in a real browser."""

import json
import signal
import urllib.request
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.error import HTTPError

from facefleet.services.gallery.cameras import CAMERAS_PER_PAGE
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from support.rig import BUCKET, await_true, ready

SPOILT = "<img src=x onerror=\"document.title='spoilt'\">"


def hrefs(browser: Chrome) -> list[str]:
    """The keys of the faces on the page, in its order; read at once, while tiles come and go."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.tile')]"
        ".map(tile => tile.getAttribute('href').replace('/face/', ''))"
    )


def see(browser: Chrome, keys: list[str]) -> None:
    try:
        await_true(lambda: hrefs(browser) == keys, f"{keys} is on the page")
    except TimeoutError as error:
        raise TimeoutError(f"{error}, but {hrefs(browser)}") from None


def text(browser: Chrome, selector: str) -> str:
    return browser.execute_script(
        "return document.querySelector(arguments[0])?.innerText ?? ''", selector
    )


def go_live(browser: Chrome, url: str) -> None:
    browser.get(url)
    await_true(lambda: text(browser, "#live") == "live", "the page is live")


def one(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def press(browser: Chrome, key: str) -> None:
    browser.switch_to.active_element.send_keys(key)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        error.close()
        return error.code


def assert_quiet(browser: Chrome) -> None:
    """Nothing on the console, after every picture in sight has loaded."""
    await_true(
        lambda: browser.execute_script(
            "return [...document.images].every(i => i.loading === 'lazy' || i.naturalWidth > 0)"
        ),
        "the pictures load",
    )
    assert browser.get_log("browser") == []


def test_newest_first_by_device_and_camera(gallery, browser: Chrome, now: datetime) -> None:
    door_old = gallery.face("nano", "door", now - timedelta(days=2))
    yard = gallery.face("nano", "yard", now - timedelta(hours=1))
    lobby = gallery.face("orin", "lobby", now - timedelta(minutes=1))
    door = gallery.face("nano", "door", now)

    go_live(browser, gallery.url)
    see(browser, [door, lobby, yard, door_old])
    one(browser, "nav [href='/?device=nano']").click()
    see(browser, [door, yard, door_old])
    one(browser, "nav [href='/?device=nano&camera=door']").click()
    see(browser, [door, door_old])
    assert text(browser, "[aria-current]").startswith("door")
    assert text(browser, ".tile .where") == "nano door"
    assert "ago" in text(browser, ".tile time")
    assert_quiet(browser)


def test_a_new_face_appears_without_a_reload(gallery, browser: Chrome, now: datetime) -> None:
    go_live(browser, gallery.url)
    assert "Step in front of a camera" in text(browser, "main")
    browser.execute_script("window.sameDocument = true")

    first = gallery.face("nano", "door", now)
    see(browser, [first])
    assert "Step in front" not in text(browser, "main")
    second = gallery.face("nano", "door", now + timedelta(seconds=1))
    see(browser, [second, first])
    other_camera = gallery.face("orin", "lobby", now - timedelta(hours=3))
    see(browser, [second, first, other_camera])
    assert "lobby" in text(browser, "nav")
    assert browser.execute_script("return window.sameDocument")
    assert_quiet(browser)


def test_a_filtered_page_gets_only_its_camera(gallery, browser: Chrome, now: datetime) -> None:
    mine = gallery.face("nano", "door", now)
    gallery.face("orin", "lobby", now)
    go_live(browser, f"{gallery.url}/?device=nano")
    gallery.face("orin", "lobby", now + timedelta(seconds=1))
    new = gallery.face("nano", "door", now + timedelta(seconds=2))
    see(browser, [new, mine])


def test_a_face_opens_large_with_its_exif(gallery, browser: Chrome, now: datetime) -> None:
    older = gallery.face("nano", "door", now - timedelta(seconds=9))
    newer = gallery.face("nano", "door", now, detector="yunet")
    go_live(browser, gallery.url)
    see(browser, [newer, older])

    one(browser, f"[href='/face/{newer}']").click()
    await_true(lambda: "yunet" in text(browser, "#viewed"), "the newer face is open")
    facts = text(browser, "#viewed")
    for fact in ("nano", "door", f"{now:%Y-%m-%d %H:%M:%S.%f}", "180, 60, 110, 130", "0.97", newer):
        assert fact in facts
    assert browser.current_url == f"{gallery.url}/face/{newer}"

    press(browser, Keys.ARROW_RIGHT)
    await_true(lambda: older in text(browser, "#viewed"), "the older face is open")
    press(browser, Keys.ARROW_LEFT)
    await_true(lambda: newer in text(browser, "#viewed"), "the newer face is open again")
    press(browser, Keys.ESCAPE)
    await_true(lambda: not one(browser, "#viewer").is_displayed(), "the face is closed")
    await_true(lambda: browser.current_url == f"{gallery.url}/", "the address is the page's again")

    browser.get(f"{gallery.url}/face/{older}")  # the link alone, as sent to somebody
    assert older in text(browser, "#face")
    assert one(browser, "a[download]").get_attribute("href").endswith(older)
    assert_quiet(browser)


def test_older_faces_come_by_scrolling(gallery, browser: Chrome, now: datetime) -> None:
    keys = [gallery.face("nano", "door", now - timedelta(minutes=i)) for i in range(75)]
    go_live(browser, gallery.url)
    await_true(lambda: len(hrefs(browser)) >= 60, "the first page is there")

    def all_there() -> bool:
        browser.execute_script("scrollTo(0, document.body.scrollHeight)")
        return len(hrefs(browser)) >= len(keys)

    await_true(all_there, "scrolling brings the rest")
    see(browser, keys)
    assert not one(browser, "#older").is_displayed()

    new = gallery.face("nano", "door", now + timedelta(seconds=1))
    await_true(lambda: text(browser, "#waiting") == "1 new face ↑", "it waits: nothing jumps")
    one(browser, "#waiting").click()
    see(browser, [new, *keys])
    assert_quiet(browser)


def test_an_open_page_asks_the_bucket_for_nothing(gallery, browser: Chrome, now: datetime) -> None:
    face = gallery.face("nano", "door", now)
    go_live(browser, gallery.url)
    see(browser, [face])
    asked = gallery.lists()
    shown = [face]
    for second in range(1, 4):
        shown.insert(0, gallery.face("nano", "door", now + timedelta(seconds=second)))
        see(browser, shown)
    browser.refresh()
    see(browser, shown)
    browser.get(f"{gallery.url}/?device=nano&camera=door")
    see(browser, shown)
    assert gallery.lists() - asked <= 1  # the device's cameras, once in a while
    assert_quiet(browser)


def test_a_clock_that_is_wrong_is_told_apart(gallery, browser: Chrome, now: datetime) -> None:
    good = gallery.face("nano", "door", now)
    go_live(browser, gallery.url)
    ahead = [
        gallery.face("orin", "lobby", captured)
        for captured in (now + timedelta(days=400.5), datetime(9999, 12, 31, 23, 59, 59, 5, UTC))
    ]
    behind = gallery.face("nano", "yard", datetime(1000, 1, 1, tzinfo=UTC))
    told = ["nano / yard", "orin / lobby"]

    def cameras() -> list[str]:
        links = browser.find_elements(By.CSS_SELECTOR, "#clocks li a")
        return sorted(link.text for link in links)

    await_true(lambda: cameras() == told, "the cameras are told of as their faces come")
    see(browser, [good, behind])
    browser.refresh()
    see(browser, [good, behind])
    assert cameras() == told
    assert "late" in text(browser, ".tile .off")
    assert "ahead" in text(browser, "#clocks li[data-camera='orin/lobby'] .off")
    await_true(lambda: text(browser, "#live") == "live", "the page is live")

    one(browser, "#clocks li[data-camera='orin/lobby'] a").click()
    see(browser, ahead)
    assert "Clock 400 d ahead" in text(browser, "main")
    assert "in 400 d" in text(browser, ".tile time")
    one(browser, ".tile").click()
    await_true(lambda: "Clock 400 d ahead" in text(browser, "#face"), "its page says so, too")
    browser.get(f"{gallery.url}/clock?device=nano&camera=yard")
    see(browser, [behind])
    assert_quiet(browser)


def test_a_page_that_hears_nothing_says_so_and_catches_up(
    gallery, browser: Chrome, now: datetime
) -> None:
    face = gallery.face("nano", "door", now)
    go_live(browser, gallery.url)
    gallery.broker.stop()
    try:
        await_true(lambda: text(browser, "#live") == "not live", "it is told")
        assert "New faces do not appear automatically" in text(browser, "#deaf > span")
        missed = gallery.face("nano", "door", now + timedelta(seconds=1), told=False)
        assert hrefs(browser) == [face]
        one(browser, "#deaf .reload").click()
        see(browser, [missed, face])
        assert ready(gallery.url)
        again = gallery.face("nano", "door", now + timedelta(seconds=2), told=False)
        await_true(lambda: text(browser, "#live") == "not live", "it is told to a new page, too")
    finally:
        gallery.broker.start()
    await_true(lambda: text(browser, "#live") == "live", "it hears again")
    see(browser, [again, missed, face])
    assert not one(browser, "#deaf").is_displayed()


def test_many_devices_are_shown_by_the_page(gallery, browser: Chrome, now: datetime) -> None:
    keys = [gallery.face(f"edge-{n:02}", "door", now - timedelta(minutes=n)) for n in range(30)]
    browser.get(gallery.url)
    see(browser, keys[-CAMERAS_PER_PAGE:])  # those heard last
    assert "newest faces of 24 cameras" in text(browser, "main")
    one(browser, "nav [rel=next]").click()
    see(browser, keys[CAMERAS_PER_PAGE:])
    assert text(browser, ".pages") == "←\n2 of 2"
    one(browser, "nav [href='/?device=edge-29']").click()
    see(browser, keys[29:])


def test_hostile_names_and_exif_stay_text(gallery, browser: Chrome, now: datetime) -> None:
    tail = f"{now:%Y/%m/%d/%H%M%S.%f}-0a1b2c3d-1-00000001.jpg"
    for key in (f"faces/{SPOILT}/door/{tail}", f"faces/nano/{SPOILT}/{tail}", f"faces/{SPOILT}"):
        gallery.store(key, b"<script>document.title = 'spoilt'</script>")
    face = gallery.face("nano", "door", now, says_camera=SPOILT, detector=SPOILT)
    go_live(browser, gallery.url)
    see(browser, [face])
    one(browser, ".tile").click()
    await_true(lambda: SPOILT in text(browser, "#viewed"), "the markup is shown as text")
    assert "spoilt" not in browser.title
    assert_quiet(browser)


def test_only_faces_are_served(gallery, now: datetime) -> None:
    face = gallery.face("nano", "door", now)
    gallery.store("secret.jpg", b"secret")
    gallery.store("quarantine/x.jpg", b"secret")
    gallery.store("faces/notes.txt", b"secret")
    with urllib.request.urlopen(f"{gallery.url}/image/{face}") as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for key in (
        "secret.jpg",
        "quarantine/x.jpg",
        "faces/notes.txt",
        "faces/../secret.jpg",
        "faces/nano/door/..%2f..%2f..%2fsecret.jpg",
        face.replace("nano", "other"),
    ):
        assert status(f"{gallery.url}/image/{key}") == 404, key
        assert status(f"{gallery.url}/face/{key}") == 404, key
    assert status(f"{gallery.url}/static/../app.py") == 404
    assert status(f"{gallery.url}/?before=faces/nano/door/0001/01/01/x.jpg") == 404


def test_an_s3_that_hangs_is_told_and_gets_over(
    gallery, browser: Chrome, moto: SimpleNamespace, now: datetime
) -> None:
    face = gallery.face("nano", "door", now)
    go_live(browser, gallery.url)
    moto.process.signal(signal.SIGSTOP)
    try:
        assert status(f"{gallery.url}/image/{face}") == 503
        await_true(
            lambda: "cannot be reached" in text(browser, "#fault > span"), "the banner is shown"
        )
        assert not ready(gallery.url)
    finally:
        moto.process.signal(signal.SIGCONT)
    await_true(lambda: text(browser, "#fault > span") == "", "the banner is gone")
    await_true(lambda: ready(gallery.url), "the gallery is ready")
    new = gallery.face("nano", "door", now + timedelta(seconds=1))
    # While S3 hung the gallery could not learn that an earlier test's faces are gone.
    await_true(lambda: hrefs(browser)[:2] == [new, face], "both are on the page")


def test_a_missing_bucket_is_told(moto: SimpleNamespace, rig, browser: Chrome) -> None:
    _, url = rig.service(
        "gallery", instance="-2", wait=False, bucket="not-there", AWS_ENDPOINT_URL=moto.endpoint
    )
    await_true(lambda: _up(url), "it answers")
    assert status(f"{url}/readyz") == 503
    browser.get(url)
    assert "Bucket not-there does not exist: create it" in text(browser, "#fault > span")
    moto.client.create_bucket(Bucket="not-there")
    await_true(lambda: text(browser, "#fault > span") == "", "the page recovers by itself")
    assert "FACEFLEET_BROKER" in text(browser, "#deaf > span")
    assert text(browser, "#live") == "not live"


def _up(url: str) -> bool:
    try:
        return status(f"{url}/healthz") == 200
    except OSError:
        return False


def test_it_leaves_in_time_while_somebody_watches(moto: SimpleNamespace, rig) -> None:
    process, url = rig.service("gallery", bucket=BUCKET, AWS_ENDPOINT_URL=moto.endpoint)
    with urllib.request.urlopen(f"{url}/events", timeout=10) as stream:
        assert stream.readline() == b"event: deaf\n"
        assert process.stop() == 0
        stream.read()
    assert all(json.loads(line) for line in process.log.read_text().splitlines())
