import json
import re
import shutil
import subprocess

import pytest

from posellm_assets.evaluation.clips import read_examples, read_filmed
from posellm_assets.evaluation.config import (
    ChampionReport,
    EvaluateJob,
    EvaluationConfig,
    EvaluatorConfig,
    EvaluatorJob,
)
from posellm_assets.evaluation.evaluate import run
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import NO_TEST, Figures
from posellm_assets.evaluation.phrasings import written_alike
from posellm_assets.evaluation.recognition import NO_TAUGHT, Spoken, recognition
from posellm_assets.evaluation.report import render
from posellm_assets.evaluation.summary import summary_markdown
from posellm_assets.evaluation.text_to_motion import Sample
from posellm_assets.evaluation.train_evaluator import run as train_evaluator
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets_tests.unit.evaluation.world import STEPS, quiet
from posellm_assets_tests.waits import HANG_S

ATTACK = "<script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def job(world, tokenizer, trained) -> EvaluateJob:
    train, test, model = trained
    evaluator = EvaluatorJob(
        **STEPS,
        train=train,
        test=test,
        motions=world.motions,
        out=world.folder / "evaluator-of-model",
        config=EvaluatorConfig(steps=50, batch_size=16, width=64),
    )
    train_evaluator(evaluator, quiet)
    return EvaluateJob(
        model=model,
        tokenizer=tokenizer,
        evaluator=evaluator.out,
        train=train,
        test=test,
        motions=world.motions,
        losses={"stage": model.parent / "losses.jsonl"},
        out=world.folder / "report",
        config=EvaluationConfig(samples_per_label=2, samples_per_text=3),
    )


@pytest.fixture(scope="module")
def metrics(job):
    return run(job, quiet)


def test_every_figure_has_a_sample_size_and_shares_have_an_interval(metrics):
    assert {name for name, figure in metrics["figures"].items() if figure["n"] < 1} == set()
    for name in ("naming_accuracy", "recognised_sentences", "recognised_labels", "recognised_nearest", "valid_share"):
        low, high = metrics["figures"][name]["interval"]
        assert 0 <= low <= metrics["figures"][name]["value"] <= high <= 1
    assert metrics["absent"] == {}


def test_the_model_has_learned_more_than_counting_codes_can_tell(metrics):
    figures = metrics["figures"]
    assert figures["nll_per_code"]["value"] < figures["nll_per_code_unigram"]["value"]
    assert figures["naming_accuracy"]["value"] > figures["naming_chance"]["value"] == 0.25
    assert figures["recognised_real"]["value"] > 0.5


def test_the_figures_are_counted_over_the_right_clips(metrics):
    figures = metrics["figures"]
    assert figures["naming_accuracy"]["n"] == figures["recognised_real"]["n"] == 8
    assert figures["recognised_labels"]["n"] == 4 * 2
    assert figures["recognised_sentences"]["n"] == figures["recognised_nearest"]["n"] == 4 * 20
    assert figures["valid_share"]["n"] == 4 * 20 + 4 * 2 + 8 * 3
    assert figures["edit_distance_generated"]["n"] == 8 * 3 and figures["edit_distance_nearest"]["n"] == 8
    assert figures["edit_distance_real"]["n"] == 20
    assert {figures[f"{name}_generated"]["n"] for name in ("r_precision_1", "mm_dist", "multimodality")} == {8}
    assert {figures[name]["n"] for name in ("diversity_generated", "fid_generated", "fid_real")} == {4}
    assert metrics["by_sport"]["gym"]["r_precision_1_generated"]["n"] == 4
    assert metrics["by_sport"]["gym"]["bleu_said"]["n"] == 4
    assert {sport: part["naming_accuracy"]["n"] for sport, part in metrics["by_sport"].items()} == {
        "drill": 4,
        "gym": 4,
    }
    assert metrics["by_label"]["squat"]["recognised_sentences"]["n"] == 20
    assert metrics["by_label"]["squat"]["recognised_labels"]["n"] == 2
    assert sum(map(sum, metrics["confusion"]["naming"]["counts"])) == 8


def test_each_table_stands_between_what_is_right_and_what_is_not(metrics):
    value = {name: figure["value"] for name, figure in metrics["figures"].items()}
    assert value["r_precision_3_real"] > value["r_precision_3_shuffled"]
    assert value["mm_dist_real"] < value["mm_dist_shuffled"]
    assert value["edit_distance_real"] < value["edit_distance_shuffled"]
    assert value["label_said_real"] == 1 and value["label_said_shuffled"] < 1
    for name in ("bleu", "rouge_l", "chrf", "r_precision_3"):
        assert value[f"{name}_said_real"] > value[f"{name}_said_shuffled"]


def test_repeats_are_said_and_have_an_interval(metrics):
    for name in ("mm_dist_generated", "fid_generated", "diversity_real", "multimodality_generated"):
        figure = metrics["figures"][name]
        low, high = figure["interval"]
        assert figure["repeats"] == 20 and low < figure["value"] < high


def test_grammar_makes_every_generated_motion_decodable(metrics):
    assert metrics["figures"]["valid_share"]["value"] == 1.0


def test_a_second_run_gives_the_same_figures(job, metrics, tmp_path):
    again = run(job.model_copy(update={"out": tmp_path}), quiet)
    assert again["figures"] == metrics["figures"] and again["said"] == metrics["said"]


def test_a_champion_is_compared_case_by_case_and_both_generations_stand_in_the_page(job, metrics, tmp_path):
    videos = [{"key": clip["key"], "split": "test", "label": clip["label"]} for clip in metrics["said"]]
    known = {"key": "train", "split": "train", "label": "arm_raise"}
    (tmp_path / "manifest.json").write_text(json.dumps({"videos": [*videos[1:], known]}))
    champion = ChampionReport(snapshot="all-0001", manifest=tmp_path / "manifest.json", report=job.out)
    update = {"out": tmp_path, "champion": champion, "generation": "all-0002", "earlier": {"all-0001": job.out}}
    found = run(job.model_copy(update=update), quiet)
    # The same model again keeps everything and is no better at the one clip that is new.
    decision = found["decision"]
    assert (decision["promote"], decision["against"]) == (False, "all-0001")
    assert {(c["verdict"], c["gain"]) for c in decision["comparisons"]} <= {
        ("not worse", 0.0),
        ("one case says nothing", 0.0),
    }
    compared = {(c["figure"], c["of"]): c["n"] for c in decision["comparisons"]}
    assert compared["nll_per_code", "all that it knew"] == 7 and compared["nll_per_code", "new to it"] == 1
    assert compared["recognised_sentences", "all that it knew"] == 20, "of four labels it had to know one"
    assert decision["reasons"][0].startswith("Not better: nats per code (new to it)")
    matrix = {(row["sport"], row["figure"]): row["cells"] for row in found["retention"]}
    assert set(matrix) >= {(sport, "naming_accuracy") for sport in ("gym", "drill")}
    cells = matrix["gym", "nll_per_code"]
    assert list(cells) == ["all-0001", "all-0002"] and cells["all-0001"] == cells["all-0002"]
    assert cells["all-0001"]["n"] == 4 and cells["all-0001"]["interval"]
    page = (tmp_path / "index.html").read_text()
    assert "Against all-0001, the released model" in page and "What each generation still knows" in page
    both = re.search(r"All figures of both models.*?</table>", page, re.DOTALL)
    better = dict(re.findall(r'<th scope="row">(\w+)</th><td>(.*?)</td>', both[0])) if both else {}
    assert (better["naming_accuracy"], better["fid_generated"]) == ("higher", "lower")
    assert (better["diversity_generated"], better["multimodality_generated"]) == ("as real", "–")
    assert not [name for name in better if re.search("chance|majority|real$|shuffled|nearest|bigram", name)]


def test_an_interval_over_repeats_is_never_shown_as_one_over_clips(metrics, job):
    page = (job.out / "index.html").read_text()
    (card,) = re.findall(r"<h3>The held-out text that a motion was generated from.*?</p>", page, re.DOTALL)
    assert "n=8, 20×" in card and "does not say what other clips would give" in page
    (line,) = [line for line in summary_markdown(metrics).splitlines() if "is among the 3 nearest" in line]
    assert line.endswith("| n=8, 20× |")


def test_what_is_asked_first_is_sentences_and_none_of_them_was_taught(metrics, job, world):
    asked = metrics["sentences"]
    assert {(row["label"], sum(other["label"] == row["label"] for other in asked)) for row in asked} == {
        (label, 20) for label in ("squat", "arm raise", "march", "bow")
    }
    taught = {written_alike(text) for example in read_examples(job.train) for text in example.texts}
    assert taught and not taught & {written_alike(row["text"]) for row in asked}
    right = sum(row["judged"] == row["label"] for row in asked)
    assert right / len(asked) == metrics["figures"]["recognised_sentences"]["value"]
    page = (job.out / "index.html").read_text()
    first = re.findall(r"<h3>(.*?)</h3>", page)[0]
    assert first.startswith("Asked in a sentence that it was never taught")
    card = page[page.index(first) :].split("</article>")[0]
    for beside in ("asked by the bare label", "retrieval", "ceiling", "chance"):
        assert beside in card
    assert card.count("n=80") == 2 and card.count(" to ") >= 5


def test_labels_are_asked_for_in_the_languages_in_which_they_have_a_name(job, tmp_path):
    names = {"squat": {"en": "squat", "es": "sentadilla"}, "bow": {"zh": "鞠躬"}}
    update = {"names": names, "out": tmp_path, "config": job.config.model_copy(update={"phrasings": 2})}
    found = run(job.model_copy(update=update), quiet)
    spoken = {(row["label"], row["language"]) for row in found["sentences"]}
    # What nobody named is asked for in English, as it is.
    assert spoken == {("squat", "en"), ("squat", "es"), ("bow", "zh"), ("arm raise", "en"), ("march", "en")}
    assert {found["figures"][f"recognised_sentences_{language}"]["n"] for language in ("es", "zh")} == {2}
    assert found["figures"]["recognised_sentences_en"]["n"] == 6


def test_a_report_on_rendered_athletes_says_so(job, metrics, tmp_path):
    assert metrics["test_clips_rendered"] == 0 and "rendered athletes" not in (job.out / "index.html").read_text()
    rendered = [row["key"] for row in metrics["said"]]
    for count, says in ((8, "The 8 held-out clips show rendered athletes"), (3, "3 of the 8 held-out clips show")):
        page = render({**metrics, "test_clips_rendered": count}, None, {}, [])
        assert says in page
    quick = EvaluationConfig(samples_per_label=1, texts=2, samples_per_text=1, phrasings=1)
    update = {"rendered": rendered, "out": tmp_path, "config": quick}
    assert run(job.model_copy(update=update), quiet)["test_clips_rendered"] == 8


def test_the_first_model_is_fit_because_there_is_nothing_to_compare_it_with(job, metrics):
    page = (job.out / "index.html").read_text()
    assert "Fit for release." in page and "there is nothing to compare it with" in page
    assert "Fit for release: This is the first model" in summary_markdown(metrics)


def test_held_out_loss_is_drawn_beside_the_training_loss(metrics):
    curves = {"stage2": ([(step, 4 - step / 100) for step in range(1, 101)], [(50, 3.0), (100, 3.5)])}
    page = render(metrics, None, curves, [])
    chart = page[page.index("<h3>stage2</h3>") :].split("</figure>")[0]
    assert chart.count('<circle class="held-out"') == 2
    assert "<strong>3.50</strong>, lowest 3.00 after 50 steps" in chart
    without = render(metrics, None, {"stage2": (curves["stage2"][0], [])}, [])
    assert "Nothing was held out to measure it on" in without


def test_what_one_camera_cannot_see_is_said_of_footage_only(metrics):
    assert metrics["test_clips_filmed"] == 8
    for filmed, says in ((8, "Everything here starts"), (3, "3 of the 8 held-out clips start"), (0, None)):
        page = render({**metrics, "test_clips_filmed": filmed}, None, {}, [])
        assert ("What to expect of one camera" in page) == (says is not None) and (says or "") in page


def test_what_the_tokenizer_keeps_is_a_table_by_sport_and_skeleton(metrics):
    of = {"clips": 4, "frames": 90, "mpjpe_mm": 31.5, "foot_skate_m_per_s": None}
    report = {"held_out": {**of, "by_sport": {"gym": of}, "by_skeleton": {"body": of, "mixamo": of}}}
    page = render({**metrics, "provenance": {**metrics["provenance"], "tokenizer": report}}, None, {}, [])
    (table,) = re.findall(r'<h2 id="h-tokenizer">.*?</table>', page, re.DOTALL)
    assert re.findall(r'<th scope="row">(\w+)</th><td>4</td><td>31.5</td>', table) == ["all", "gym", "body", "mixamo"]
    assert "held_out.by_sport" not in page


def test_the_page_needs_nothing_from_elsewhere(job, metrics):
    page = (job.out / "index.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!#)|https?://|@import|url\(""", page)
    # One for each label; three best, three worst, and one each for the labels of the two clips that are left.
    assert page.count("<canvas") in (4 + 7 * 3, 4 + 8 * 3)
    headings = re.findall(r'<h3 class="group">(.*?)</h3>', page)
    assert headings == [
        "Asked in a sentence that was never taught",
        "The 3 that fit their texts best",
        "The 3 that fit their texts worst",
        "Others",
    ]


def test_an_empty_test_split_is_said_plainly_and_nothing_is_made_up(world, job, tmp_path):
    found = run(job.model_copy(update={"test": world.examples("nobody", [], None), "out": tmp_path}), quiet)
    of_texts = {f"recognised_{name}" for name in ("sentences", "nearest", "labels", "chance")}
    assert set(found["figures"]) == {*of_texts, "valid_share"}
    assert found["absent"]["nll_per_code"].startswith("the test split is empty")
    assert "the test split is empty" in (tmp_path / "index.html").read_text()
    assert "the test split is empty" in summary_markdown(found)


def test_a_snapshot_without_labels_is_measured_by_likelihood_and_retrieval(world, job, tokenizer, tmp_path):
    codes = MotionTokenizer.load(tokenizer)
    train = world.examples("bare-train", world.keys("train"), codes, labelled=False)
    test = world.examples("bare-test", world.keys("test"), codes, labelled=False)
    found = run(job.model_copy(update={"train": train, "test": test, "out": tmp_path}), quiet)
    assert {"nll_per_code", "r_precision_3_generated", "r_precision_3_real"} <= set(found["figures"])
    assert found["absent"]["naming_accuracy"] == "no clip of the test split has a label"
    assert "fewer than two labels" in found["absent"]["recognised_sentences"]
    assert (tmp_path / "index.html").read_text().count("<canvas") > 0


def test_a_snapshot_of_a_single_movement_gives_no_accuracy(world, job, tokenizer, tmp_path):
    codes = MotionTokenizer.load(tokenizer)
    of_squat = {split: [key for key in world.keys(split) if world.label[key] == "squat"] for split in ("train", "test")}
    train, test = (world.examples(f"squat-{split}", keys, codes) for split, keys in of_squat.items())
    found = run(job.model_copy(update={"train": train, "test": test, "out": tmp_path}), quiet)
    assert "fewer than two labels" in found["absent"]["naming_accuracy"]
    assert {"valid_share", "length_error_generated", "edit_distance_generated"} <= set(found["figures"])
    assert "'shuffled'" in found["absent"]["edit_distance_shuffled"]


def test_the_summary_holds_the_figure_its_baselines_and_its_sample_size(metrics):
    (line,) = [line for line in summary_markdown(metrics).splitlines() if "names its movement" in line]
    assert "chance 25 %" in line and line.endswith("| n=8 |")
    (line,) = [line for line in summary_markdown(metrics).splitlines() if "nearest training clip by text |" in line]
    assert line.count("(n=8)") > 6


def test_what_users_wrote_cannot_become_part_of_the_page(job, metrics):
    hostile = json.loads(re.sub("squat|gym", json.dumps(ATTACK)[1:-1], json.dumps(metrics)))
    rows = [
        {
            "section": ATTACK,
            "prompt": ATTACK,
            "heard": ATTACK,
            "panels": [
                {"title": ATTACK, "prompt": ATTACK, "label": ATTACK, "verdict": ATTACK, "fit": None, "motion": None}
            ],
        }
    ]
    hostile["provenance"]["snapshot"] = {
        "snapshot": ATTACK,
        "videos": [{"split": "train", "participant": ATTACK, "sport": ATTACK}],
        "settings": {ATTACK: ATTACK},
    }
    page = render(hostile, champion=None, losses={ATTACK: ([(1, 2.0)], [(1, 3.0)])}, rows=rows)
    assert "<script>alert" not in page and "<img" not in page
    assert page.count("&lt;script&gt;alert") > 10


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine to open the report in")
def test_a_browser_plays_the_motions_of_the_report(job, metrics, tmp_path):
    page = (job.out / "index.html").read_text()
    # After some time the page writes down what its player drew: pixels of the first canvas, and any error.
    probe = """<script>window.addEventListener("load", () => setTimeout(() => {
      const drawn = [...document.querySelectorAll("canvas")].map((canvas) => {
        const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return picture.data.filter((value, index) => index % 4 === 3 && value).length;
      });
      document.body.dataset.drawn = drawn.join(",");
    }, 500));</script></body>"""
    (tmp_path / "page.html").write_text(page.replace("</body>", probe))
    done = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom",
            "--virtual-time-budget=2000", "--window-size=1200,6000", f"--user-data-dir={tmp_path / 'profile'}",
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=HANG_S,
    )  # fmt: skip
    (drawn,) = re.findall(r'data-drawn="([\d,]+)"', done.stdout)
    assert len(drawn.split(",")) == page.count("<canvas") and all(int(pixels) > 500 for pixels in drawn.split(","))


def test_the_ceiling_is_of_the_movements_that_were_taught(job):
    clips = read_filmed(job.test, job.motions, MotionTokenizer.load(job.tokenizer))
    taught, strange = (next(clip for clip in clips if clip.label == label) for label in ("squat", "march"))
    for test, n, why in (([taught, strange], 1, None), ([strange], 0, NO_TAUGHT), ([], 0, NO_TEST)):
        figures, motions = Figures(), [clip.motion for clip in test]
        bare, nothing = [Sample("bow", "drill", "bow", (), None)], Spoken([], [], [])
        recognition(figures, Evaluator.load(job.evaluator), ["bow", "squat"], nothing, bare, test, motions)
        found = figures.overall.get("recognised_real")
        assert (found.n if found else 0) == n
        assert figures.absent.get("recognised_reconstructed") == why
