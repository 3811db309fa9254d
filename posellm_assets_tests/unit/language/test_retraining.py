from posellm_assets.language.retraining import (
    Step,
    Tokenise,
    TrainGeneration,
    TrainTokenizer,
    Wait,
    contiguous_ranges,
    next_step,
)


def decide(
    ready: int, tokenised: int = 0, in_snapshot: int = 0, lineage: str | None = None, busy: str | None = None
) -> Step:
    names = [f"tennis.clip.{number:08x}" for number in range(ready)]
    return next_step(
        ready=names,
        tokenised=names[:tokenised],
        in_snapshot=names[:in_snapshot],
        lineage=lineage,
        busy=busy,
        min_new_videos=10,
    )


def test_too_little_footage_starts_nothing_and_says_how_much_is_missing() -> None:
    step = decide(ready=9)
    assert isinstance(step, Wait)
    assert "9 usable videos" in step.reason
    assert "10" in step.reason


def test_the_first_footage_trains_a_tokenizer_then_tokens_then_a_generation() -> None:
    assert isinstance(decide(ready=10), TrainTokenizer)
    step = decide(ready=10, lineage="vq-1")
    assert isinstance(step, Tokenise)
    assert len(step.keys) == 10
    assert isinstance(decide(ready=10, tokenised=10, lineage="vq-1"), TrainGeneration)


def test_new_footage_is_tokenised_at_once_but_trained_only_when_there_is_enough() -> None:
    step = decide(ready=13, tokenised=10, in_snapshot=10, lineage="vq-1")
    assert isinstance(step, Tokenise)
    assert len(step.keys) == 3
    assert isinstance(decide(ready=13, tokenised=13, in_snapshot=10, lineage="vq-1"), Wait)
    step = decide(ready=20, tokenised=20, in_snapshot=10, lineage="vq-1")
    assert isinstance(step, TrainGeneration)
    assert len(step.keys) == 20, "a snapshot takes over the footage of the one before"


def test_nothing_starts_while_something_runs() -> None:
    assert decide(ready=50, busy="train_generation") == Wait("train_generation is running")


def test_ranges_hold_only_wanted_neighbours_and_keep_to_the_limit() -> None:
    order = list("abcdefgh")
    assert contiguous_ranges(order, set("abdefh"), limit=10) == [("a", "b"), ("d", "f"), ("h", "h")]
    assert contiguous_ranges(order, set(order), limit=3) == [("a", "c"), ("d", "f"), ("g", "h")]
    assert contiguous_ranges(order, set(), limit=3) == []
