import random
from pathlib import Path

import pytest

from posellm_assets.language.clips import TrainingClip, UnusableData, View, read_clips
from posellm_assets.language.config import Task
from posellm_assets.language.packing import IGNORE, collate, pack
from posellm_assets.language.tasks import build, draw_epoch, fit_texts, t2m_prefix, windows
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.texts.glossary import Name
from posellm_assets_tests.unit.language import samples

CODES = [3, 1, 4, 1, 5, 9, 2, 6]


def test_each_task_asks_with_its_prefix_and_answers_with_codes_or_text() -> None:
    vocabulary = samples.vocabulary()
    motion, text = vocabulary.encode_codes(CODES), vocabulary.encode_text("squat")
    v = vocabulary
    expected = {
        "motion": ([v.t2m, v.begin], [*motion, v.end]),
        "t2m": ([v.t2m, *text, v.begin], [*motion, v.end]),
        "m2t": ([v.m2t, v.begin, *motion, v.end], [*text, v.end_of_text]),
        "denoise": ([v.denoise, v.begin, *[v.mask] * 8, v.end, v.begin], [*motion, v.end]),
    }
    for task, (prefix, answer) in expected.items():
        wanted = "squat" if task in ("t2m", "m2t") else ""
        [example] = build(task, "k", CODES, wanted, vocabulary, 64, mask_rate=1.0, generator=random.Random(0))
        assert (example.prefix, example.answer) == (prefix, answer)


def test_a_label_never_covers_a_token_of_a_prompt_or_of_padding() -> None:
    vocabulary = samples.vocabulary()
    clips = [samples.clip([index % 24 for index in range(size)], key=f"k{size}") for size in range(5, 30)]
    examples = draw_epoch(clips, samples.stage(), vocabulary, random.Random(0))
    rows = pack(examples, 64)
    batch = collate(rows, 64, vocabulary.pad)
    for index, row in enumerate(rows):
        labels, ids = batch.labels[index].tolist(), batch.ids[index].tolist()
        expected: list[int] = []
        for example in row:
            expected += [IGNORE] * len(example.prefix) + example.answer
        assert labels == expected + [IGNORE] * (64 - len(expected))
        assert all(label in (IGNORE, token) for label, token in zip(labels, ids, strict=True))


def test_a_motion_too_long_for_a_row_is_split_and_every_code_is_still_learned() -> None:
    vocabulary = samples.vocabulary()
    codes = [index % 24 for index in range(300)]
    for task in ("motion", "t2m", "denoise"):
        examples = build(task, "k", codes, "squat" if task == "t2m" else "", vocabulary, 64)
        assert max(map(len, examples)) <= 64
        answered = [token for example in examples for token in example.answer[:-1]]
        assert answered == vocabulary.encode_codes(codes)
        assert all(example.answer[-1] == vocabulary.end for example in examples)


def test_windows_are_few_and_nearly_equal() -> None:
    assert [len(window) for window in windows(range(100), 48)] == [33, 34, 33]
    assert windows(CODES, 8) == [CODES]


def test_a_text_that_leaves_no_room_for_motion_is_left_out_by_name() -> None:
    vocabulary = samples.vocabulary()
    essay = "the athlete walks on and on " * 20
    [clip], left_out = fit_texts([samples.clip(CODES, ("squat", essay), key="gym.essay.00000000")], vocabulary, 64)
    assert clip.views[0].texts == ("squat",)
    assert len(left_out) == 1 and "gym.essay.00000000" in left_out[0] and "the athlete walks" in left_out[0]


def test_facts_of_a_whole_motion_are_not_told_of_the_part_that_a_row_holds() -> None:
    vocabulary, text = samples.vocabulary(), "squat: the knees bend 9 times"
    for codes, kept in ((CODES, ("squat", text)), (CODES * 8, ("squat",))):
        view = View(tuple(codes), ("squat", text), "squat", texts_of_parts=("squat",))
        [clip], left_out = fit_texts([TrainingClip("k", "squat", (view,))], vocabulary, 64)
        assert clip.views[0].texts == kept
        assert len(left_out) == 2 - len(kept) and all("tells of a motion of" in sentence for sentence in left_out)
    assert fit_texts([samples.clip(CODES * 8, ("squat", text))], vocabulary, 64)[1] == [], "it was not said of which"


def test_a_text_that_fills_a_row_is_refused_where_it_cannot_be_left_out() -> None:
    with pytest.raises(UnusableData, match="k: the text 'on and on"):
        build("t2m", "k", CODES, "on and on " * 40, samples.vocabulary(), 64)


def test_a_clip_without_text_is_used_where_no_text_is_needed() -> None:
    vocabulary, silent = samples.vocabulary(), [samples.clip(CODES, ())]
    mixed = [draw_epoch(silent, samples.stage(), vocabulary, random.Random(seed))[0] for seed in range(20)]
    assert {example.prefix[0] for example in mixed} == {vocabulary.denoise}
    assert draw_epoch(silent, samples.stage(tasks={"t2m": 1.0}), vocabulary, random.Random(0)) == []


def test_tasks_variants_and_masks_are_drawn_afresh_each_epoch() -> None:
    vocabulary = samples.vocabulary()
    clips = [samples.clip(CODES, key=f"k{index}") for index in range(400)]
    generator = random.Random(0)
    first = draw_epoch(clips, samples.stage(), vocabulary, generator)
    second = draw_epoch(clips, samples.stage(), vocabulary, generator)
    assert [example.prefix for example in first] != [example.prefix for example in second]
    shares = [
        sum(example.prefix[0] == marker for example in first) / 400 for marker in (vocabulary.t2m, vocabulary.m2t)
    ]
    assert shares == pytest.approx([0.5, 0.3], abs=0.08)


def test_codes_of_another_codebook_and_empty_motions_are_refused_by_key(tmp_path: Path) -> None:
    path = samples.examples(tmp_path / "x.parquet", codes=[1, 24])
    with pytest.raises(ValueError, match=r"gym\.squat-0\.00000000.*outside the codebook of 24"):
        read_clips(path, 24)
    path = samples.examples(tmp_path / "y.parquet", codes=[])
    with pytest.raises(ValueError, match=r"gym\.squat-0\.00000000.*no motion codes"):
        read_clips(path, 24)


def test_codes_out_of_the_turn_of_their_layers_are_refused_by_key(tmp_path: Path) -> None:
    whole = samples.examples(tmp_path / "x.parquet", codes=[1, 13, 2, 14])
    assert read_clips(whole, 24, codes_per_step=2)[0].views[0].codes == (1, 13, 2, 14)
    for codes in ([1, 13, 2], [1, 2, 13, 14]):
        path = samples.examples(tmp_path / "y.parquet", codes=codes)
        with pytest.raises(UnusableData, match=r"gym\.squat-0\.00000000.*are not 2 of a step in turn"):
            read_clips(path, 24, codes_per_step=2)


def test_all_variants_of_a_clip_are_views_of_one_clip(tmp_path: Path) -> None:
    clips = read_clips(samples.examples(tmp_path / "x.parquet", clips_per_label=2, variants=3), 24)
    assert [len(clip.views) for clip in clips] == [3] * 6


def test_a_description_names_the_movement_first_and_keeps_the_owners_words() -> None:
    vocabulary = samples.vocabulary()
    own_words = "A person bends the knees."
    view = View(tuple(CODES), (own_words, "squat: both knees bend"), "squat")
    stage = samples.stage(tasks={"m2t": 1.0})
    generator = random.Random(0)
    answers = {
        vocabulary.decode_text(example.answer[:-1])
        for _ in range(20)
        for example in draw_epoch([TrainingClip("k", "squat", (view,))], stage, vocabulary, generator)
    }
    assert answers == {f"squat: {own_words}", "squat: both knees bend"}
    prompts = {
        tuple(example.prefix)
        for _ in range(20)
        for example in draw_epoch(
            [TrainingClip("k", "squat", (view,))], samples.stage(tasks={"t2m": 1.0}), vocabulary, generator
        )
    }
    assert (vocabulary.t2m, *vocabulary.encode_text(own_words), vocabulary.begin) in prompts


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("task", ["continuation", "between"])
def test_what_is_shown_and_what_is_answered_make_the_whole_motion_cut_between_time_steps(
    task: Task, layers: int
) -> None:
    vocabulary = Vocabulary(samples.vocabulary().tokenizer, 24, codes_per_step=layers)
    generator = random.Random(0)
    cuts = set()
    for steps in (3, 4, 9, 40):
        codes = [24 // layers * (place % layers) + place % 5 for place in range(steps * layers)]
        for _ in range(30):
            examples = build(task, "k", codes, "", vocabulary, 64, generator=generator)
            whole = []
            for example in examples:
                shown = [token for token in example.prefix if token in vocabulary.code_of]
                start = len(shown) if task == "continuation" else example.prefix.index(vocabulary.mask) - 2
                answered = example.answer[:-1]
                assert example.prefix[:2] == [getattr(vocabulary, task), vocabulary.begin]
                assert example.answer[-1] == vocabulary.end
                assert answered and shown and start and start % layers == 0 == len(answered) % layers
                assert task == "continuation" or start < len(shown), "an in-between ends before the motion does"
                cuts.add(len(answered) / (len(shown) + len(answered)))
                whole += shown[:start] + answered + shown[start:]
            assert [vocabulary.code_of[token] for token in whole] == codes
            assert max(map(len, examples)) <= 64
    assert len(cuts) > 8, "where the motion is cut is drawn afresh"


def test_a_motion_too_short_to_take_anything_away_serves_the_other_tasks() -> None:
    vocabulary = samples.vocabulary()
    tasks = {"continuation": 1.0, "between": 1.0, "motion": 1.0}
    drawn = {
        length: {
            draw_epoch([samples.clip([1, 2, 3][:length])], samples.stage(tasks=tasks), vocabulary, generator)[0].prefix[
                0
            ]
            for generator in map(random.Random, range(30))
        }
        for length in (1, 2, 3)
    }
    v = vocabulary
    assert drawn == {1: {v.t2m}, 2: {v.t2m, v.continuation}, 3: {v.t2m, v.continuation, v.between}}


def test_layered_motion_is_split_between_time_steps_only() -> None:
    assert [len(window) for window in windows(range(90), 32, codes_per_step=3)] == [30, 30, 30]
    assert all(window[0] % 3 == 0 and len(window) <= 31 for window in windows(range(90), 31, codes_per_step=3))
    assert [code for window in windows(range(300), 31, codes_per_step=4) for code in window] == list(range(300))


def test_half_of_the_prompts_for_a_known_participants_motion_name_the_participant() -> None:
    vocabulary = Vocabulary(samples.vocabulary().tokenizer, 24, participants=["ana"])
    ana = vocabulary.participants["ana"]
    views = (View(tuple(CODES), ("squat",)),)
    clips = [TrainingClip("k", "squat", views, who) for who in ("ana", "zoe", None) for _ in range(200)]
    for tasks in ({"t2m": 1.0}, {"motion": 1.0}):
        examples = draw_epoch(clips, samples.stage(tasks=tasks), vocabulary, random.Random(0))
        marked = [ana in example.prefix for example in examples]
        assert sum(marked[:200]) == pytest.approx(100, abs=25)
        assert not any(marked[200:]), "a participant without a marker, or nobody, is not marked"
        assert all(example.prefix[1] == ana for example, named in zip(examples, marked, strict=True) if named)
    assert not any(
        ana in example.prefix
        for example in draw_epoch(clips, samples.stage(tasks={"m2t": 1.0}), vocabulary, random.Random(0))
    )
    with pytest.raises(ValueError, match="knows no participant 'zoe'; it knows: ana"):
        t2m_prefix("squat", vocabulary, "zoe")


@pytest.mark.parametrize("task", ["motion", "t2m", "m2t", "denoise", "continuation", "between"])
def test_between_begin_and_end_stand_codes_and_nothing_else(task: Task) -> None:
    vocabulary = samples.vocabulary()
    [example] = build(task, "k", CODES, "squat: the knees bend", vocabulary, 64, mask_rate=0.3)
    inside, seen = False, 0
    for token in [*example.prefix, *example.answer]:
        if token in (vocabulary.begin, vocabulary.end):
            inside = token == vocabulary.begin
        elif inside:
            seen += 1
            assert token in vocabulary.code_of or token == vocabulary.mask
    assert seen >= len(CODES)


def test_a_question_is_read_before_the_motion_and_takes_its_room() -> None:
    vocabulary, asked = samples.vocabulary(), "squat"
    motion, question = vocabulary.encode_codes(CODES), vocabulary.encode_text(asked)
    [example] = build("m2t", "k", CODES, "serve", vocabulary, 64, question=asked)
    assert example.prefix == [vocabulary.m2t, *question, vocabulary.begin, *motion, vocabulary.end]
    assert example.answer == [*vocabulary.encode_text("serve"), vocabulary.end_of_text]
    view = View(tuple(CODES), ("serve",), question="squat " * 80)
    [clip], left_out = fit_texts([TrainingClip("k", None, (view,))], vocabulary, 64)
    assert clip.views[0].texts == () and "too long" in left_out[0]
    stage = samples.stage(tasks={"m2t": 1.0})
    clip = TrainingClip("k", None, (View(tuple(CODES), ("serve",), question=asked),))
    [drawn] = draw_epoch([clip], stage, vocabulary, random.Random(0))
    assert drawn.prefix == example.prefix


def test_a_motion_is_asked_for_in_many_ways_with_its_label_in_front_as_often_as_not() -> None:
    vocabulary = samples.vocabulary()
    names = (Name(text="squat", language="en"), Name(text="sits down and gets up", language="en", told=True))
    view = View(tuple(CODES), ("squat", "A person bends the knees."), "squat", names=names)
    clips, stage = [TrainingClip("k", "squat", (view,))] * 400, samples.stage(tasks={"t2m": 1.0}, row_tokens=128)

    def prompts(seed: int) -> list[str]:
        examples = draw_epoch(clips, stage, vocabulary, random.Random(seed))
        return [vocabulary.decode_text(example.prefix[1:-1]) for example in examples]

    asked = prompts(0)
    assert asked == prompts(0) != prompts(1)
    assert len(set(asked)) > 200, "hardly any is the same"
    told = [prompt.casefold().strip(".!") for prompt in asked]
    assert {"squat", "a person bends the knees"} <= set(told), "the clip's own texts stay among them"
    named = sum(prompt.startswith("squat: ") for prompt in asked)
    assert 0.3 < named / len(asked) < 0.6
    assert sum("gets up" in prompt for prompt in told) > 40


def test_a_way_to_ask_takes_no_room_that_the_motion_needs() -> None:
    vocabulary = samples.vocabulary()
    view = View(tuple(CODES * 6), ("squat",), "squat", names=(Name(text="squat", language="en"),))
    stage = samples.stage(tasks={"t2m": 1.0})
    generator = random.Random(0)
    for _ in range(50):
        [example] = draw_epoch([TrainingClip("k", "squat", (view,))], stage, vocabulary, generator)
        assert len(example) <= 64 and example.answer[:-1] == vocabulary.encode_codes(CODES * 6)
