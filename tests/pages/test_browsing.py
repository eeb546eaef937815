"""`rfm browse`: what the page shows, in a real browser, and what can't be browsed."""

from __future__ import annotations

import json
import re

import pytest
from datasets import load_from_disk
from pages.browsers import DESKTOP, PHONE, faults, opened

from rfm.cli import run_command

HOSTILE = (
    "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> \"quoted\" "
    "'single' & \\ # ? \u05e9\u05dc\u05d5\u05dd \u202eturned\u202c \x07bell " + "x" * 10_000
)


def browse(*words) -> int:
    return run_command(("browse",), [str(word) for word in words], "rfm browse")


@pytest.fixture(scope="module")
def page_file(questions, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "browse.html"
    assert browse(questions, "--output_path", file) == 0
    return file


@pytest.fixture(scope="module")
def hostile(questions, tmp_path_factory):
    """Two rows whose texts are not what anybody expects, and whose answer is wrong."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = load_from_disk(str(questions)).to_list()
    rows[0] |= {"task": HOSTILE, "prompt": HOSTILE, "data_source": "so#urce? \\ ü", "answer": "9"}
    rows[1] |= {"data_gen_strategy": "<b>bold</b>"}
    path = folder / "da#ta? ü"
    load_from_disk(str(questions)).from_list(rows, features=load_from_disk(str(questions)).features).save_to_disk(path)
    config = json.loads((questions / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps({**config, "content_hash": None}))
    return path


def count(page) -> str:
    return page.locator("#count").inner_text()


def cards(page) -> list[str]:
    return [card.get_attribute("id") for card in page.locator("article").all()]


def test_opens_from_disk_without_a_request_and_shows_every_frame(chromium, page_file):
    with opened(chromium, page_file) as page:
        assert "60 questions (70% preference, 30% progress)" in page.locator("header").inner_text()
        assert count(page) == "60 rows"
        assert len(cards(page)) == 20
        loaded = "[...document.querySelectorAll('.strip img')].map(i => i.decode().then(() => i.naturalWidth))"
        widths = page.evaluate(f"Promise.all({loaded})")
        assert len(widths) > 40
        assert min(widths) > 40
        assert page.locator(".strip img").first.get_attribute("alt").startswith("Video")
        policy = page.locator("meta[http-equiv]").get_attribute("content")
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy


def test_each_frame_is_in_the_file_once(page_file):
    pictures = [one for block in re.findall(r'id="pictures-\d+">(.*?)</script>', page_file.read_text())
                for one in json.loads(block)]  # fmt: skip
    assert len(pictures) == len({*pictures}) > 100


def test_filters_and_search_change_what_is_shown(chromium, page_file):
    with opened(chromium, page_file) as page:
        page.get_by_label("Type").select_option("progress")
        assert count(page).startswith("18 of 60 rows shown here match: progress")
        assert all("ANS: score" not in text for text in page.locator(".why").all_inner_texts())
        page.get_by_label("Search").fill("prefix_progress")
        shown = int(count(page).split()[0])
        assert 0 < shown < 18
        assert len(cards(page)) == shown
        assert {*page.locator("article .facts li:nth-child(3)").all_inner_texts()} == {"Strategy prefix_progress"}
        page.get_by_role("button", name="Show all").click()
        assert count(page) == "60 rows"


def test_a_click_on_a_bar_filters_and_a_second_one_shows_all(chromium, page_file):
    with opened(chromium, page_file) as page:
        bar = page.locator(".bars button", has_text="Video 2")
        bar.click()
        assert bar.get_attribute("aria-pressed") == "true"
        assert {*page.locator("article .answer").all_inner_texts()} == {"Answer 2"}
        assert page.get_by_label("Answers of pairs").input_value() == "Video 2"
        bar.click()
        assert count(page) == "60 rows"


def test_keys_move_between_rows_pages_and_search(chromium, page_file):
    with opened(chromium, page_file) as page:
        focused = "document.activeElement.id"
        first = cards(page)
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.evaluate(focused) == first[1]
        page.keyboard.press("k")
        assert page.evaluate(focused) == first[0]
        for _ in range(20):
            page.keyboard.press("j")
        assert page.evaluate(focused) == cards(page)[0] != first[0]  # the next page's first
        page.keyboard.press("/")
        assert page.evaluate(focused) == "search"
        page.keyboard.type("kj")
        assert count(page).startswith("0 of 60")
        page.keyboard.press("Escape")
        assert count(page) == "60 rows"


def test_a_frame_is_enlarged_and_closed_by_keys(chromium, page_file):
    with opened(chromium, page_file) as page:
        page.locator(".strip button").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("dialog[open] p").inner_text().startswith("Video")
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0


def test_hostile_texts_are_shown_as_text(chromium, hostile, tmp_path):
    file = tmp_path / "a #page? ü\\.html"
    assert browse(hostile, "--output_path", file) == 0
    with opened(chromium, file) as page:
        assert page.title() == "da#ta? ü"
        card = page.locator("#s-0-0")
        shown = card.locator("h3").inner_text()
        assert shown.startswith("</script><script>document.title='broken'</script><img src=x")
        assert "\\u{202e}turned" in shown
        assert "\\u{7}bell" in shown
        assert "שלום" in shown
        assert "so#urce? \\ ü" in card.inner_text()
        assert "is no whole number from" not in shown
        assert "9 means for a question" in card.locator(".why").inner_text()
        assert page.locator("#s-0-1 .facts").inner_text().count("<b>bold</b>") == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
        assert page.locator("img[src=x]").count() == 0


def test_findings_lead_to_their_rows(chromium, hostile, tmp_path):
    file = tmp_path / "browse.html"
    assert browse(hostile, "--output_path", file) == 0
    with opened(chromium, file) as page:
        assert "checks fail" in page.locator("header").inner_text()
        page.get_by_label("Type").select_option("progress")
        page.locator(".checks a", has_text="row 0").first.click()
        assert page.evaluate("document.activeElement.id") == "s-0-0"
        assert "At fault: a pair's answer is 1 or 2" in page.locator("#s-0-0").inner_text()


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")])
def test_nothing_is_cut_and_axe_finds_no_serious_fault(chromium, page_file, size, scheme):
    with opened(chromium, page_file, size=size, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert faults(page) == []


def test_paper_says_which_part_of_the_rows_is_on_it(chromium, page_file):
    with opened(chromium, page_file) as page:
        page.emulate_media(media="print")
        assert page.locator("#pager").inner_text() == "page 1 of 3"
        assert page.locator("button:visible", has_text="Next page").count() == 0


def test_a_folder_holds_the_pictures_beside_the_page(chromium, questions, tmp_path):
    folder = tmp_path / "pages"
    assert browse(questions, "--output_path", folder, "--max_rows", 5) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["frames", "index.html", "rfm_browse.json"]
    with opened(chromium, folder / "index.html", at="#s-0-0") as page:
        assert count(page) == "5 rows"
        assert "5 are shown" in page.locator("header").inner_text()
        page.wait_for_function("[...document.querySelectorAll('.strip img')].every(i => i.naturalWidth > 0)")
    assert browse(questions, "--output_path", folder) == 1
    assert browse(questions, "--output_path", folder, "--max_rows", 4, "--overwrite") == 0


def test_trajectories_with_their_curves(chromium, questions, tmp_path):
    root = json.loads((questions / "generation_config.json").read_text())["datasets_root"]
    file = tmp_path / "browse.html"
    assert browse(f"{root}/metaworld_eval", "--max_rows", 20, "--output_path", file) == 0
    with opened(chromium, file) as page:
        assert "trajectories with" in page.locator("header").inner_text()
        assert page.locator("svg.curve").count() == 20
        assert "The trajectory records the progress of every frame" in page.locator(".why").first.inner_text()
        page.locator(".bars button", has_text="failure").click()
        assert {*page.locator("article .facts li:first-child").all_inner_texts()} == {"Quality failure"}
        assert faults(page) == []


def test_predictions_come_worst_first(chromium, questions, tmp_path):
    rows = load_from_disk(str(questions)).to_list()
    predictions = [
        {"row": at, "sample_type": row["sample_type"], "answer": row["answer"], "completion": "ANS: 1",
         "truth": float(row["answer"]), "predicted": 1.0, "trajectory": "t", "task": row["task"], "strategy": "s"}
        for at, row in enumerate(rows)
    ]  # fmt: skip
    pair = next(at for at, row in enumerate(rows) if row["sample_type"] == "preference" and row["answer"] == "2")
    predictions[pair]["probabilities"] = [0.9, 0.1]
    predictions[-1] = {"row": 59, "sample_type": "progress", "answer": "1", "completion": "", "unreadable": "no file"}
    results, file = tmp_path / "results.json", tmp_path / "browse.html"
    config = json.loads((questions / "generation_config.json").read_text())
    known = {"model_path": "some model", "total_samples": 60, "dataset_hash": config["content_hash"]}
    results.write_text(json.dumps({**known, "predictions": predictions}))
    assert browse(questions, "--predictions", results, "--output_path", file) == 0
    with opened(chromium, file) as page:
        first = page.locator("article").first.inner_text()
        assert "Model: ANS: 1 (wrong)" in first or "(off by more than 20)" in first
        page.get_by_label("Search").fill(f"{rows[pair]['task']}")
        assert "1: 90.0%, 2: 10.0%" in page.locator(f"#s-0-{pair}").inner_text()
        page.get_by_label("Model").select_option("right")
        assert {*page.locator("article .answer").all_inner_texts()} <= {"Answer 1"}
        page.get_by_role("button", name="Show all").click()
        for _ in range(2):
            page.get_by_role("button", name="Next page").first.click()
        assert cards(page)[-1] == "s-0-59", "what the model was not asked is not its mistake"
        assert "not asked, its frames can't be read: no file" in page.locator("#s-0-59").inner_text()
    assert browse(questions, "--predictions", results, "--output_path", file, "--overwrite", "--max_rows", 5) == 0
    assert "those that something was found about, the worst answers, the others drawn evenly" in file.read_text()


def test_predictions_about_other_questions_are_refused(questions, tmp_path, capsys):
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"total_samples": 1, "dataset_hash": "other", "predictions": []}))
    assert browse(questions, "--predictions", results, "--output_path", tmp_path / "b.html") == 1
    assert f"`predictions` must be about the questions of {questions}, but {results} is about others" in (
        capsys.readouterr().err
    )
    results.write_text(json.dumps({"total_samples": 1}))
    assert browse(questions, "--predictions", results, "--output_path", tmp_path / "b.html") == 1
    assert f"must be results with the model's answers, but {results} has none" in capsys.readouterr().err


def test_what_cannot_be_browsed_is_named(questions, tmp_path, capsys):
    (tmp_path / "there.html").write_text("mine")
    assert browse(questions, "--output_path", tmp_path / "there.html") == 1
    assert "there.html exists; add --overwrite" in capsys.readouterr().err
    assert browse(tmp_path / "nothing", "--output_path", tmp_path / "b.html") == 1
    assert "`dataset_path` must be a folder made by `rfm generate`" in capsys.readouterr().err
    (tmp_path / "root" / "key" / "processed_dataset").mkdir(parents=True)
    assert browse(tmp_path / "root", "--output_path", tmp_path / "b.html") == 1
    assert f"name them one by one, as {tmp_path / 'root' / 'key'}" in capsys.readouterr().err
    assert browse(questions, "--max_rows", 5000, "--output_path", tmp_path / "b.html") == 1
    assert "`max_rows` must be at most 2000" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    assert browse(questions, "--output_path", tmp_path / "mine", "--overwrite") == 1
    assert "must be free or a page of `rfm browse`" in capsys.readouterr().err
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"


def test_frames_that_are_gone_are_said_on_the_card(chromium, questions, tmp_path):
    (tmp_path / "empty" / "metaworld_train").mkdir(parents=True)
    file = tmp_path / "b.html"
    assert browse(questions, "--datasets_root", tmp_path / "empty", "--output_path", file) == 0
    with opened(chromium, file) as page:
        assert "unreadable rows" in page.locator(".checks").first.inner_text()
        assert "Its frames can't be shown: " in page.locator("article").first.inner_text()
        assert "By the row's own record" in page.locator("#cards").inner_text()
