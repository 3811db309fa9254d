"""The cards of an exported dataset, of a model and of stored checkpoints: what is in them and where they come from."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posellm_assets.language.config import StageJob
from posellm_assets.reports.markdown import escaped, table
from posellm_assets.reports.metrics import Figure
from posellm_assets.reports.tables import bounds, format_figure, in_words, is_share

_MOTION = """\
from pathlib import Path

from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.formats import write_motion
from posellm_assets.motion.tokenizer import MotionTokenizer

folder = Path("my-model")
(codes,) = MotionLM.load(folder).motion_from_text(["a person does a squat"], seed=0)
motion = MotionTokenizer.load(folder / "motion_tokenizer").decode(codes)
write_motion(motion, Path("squat.bvh"), "squat", "t-pose")
"""
_CODES = """\
from {library} import {opener}
from transformers import AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("my-model"), {opener}.from_pretrained("my-model")
prompt = tokenizer("<T2M>a person does a squat<MOT_BEGIN>", add_special_tokens=False, return_tensors="pt")
answer = model.generate(input_ids=prompt["input_ids"], do_sample=True, temperature=0.5, max_new_tokens=100)
print(tokenizer.decode(answer[0]))
"""
CARD_FIGURES = (
    *("naming_accuracy", "scoring_accuracy", "recognised_sentences", "recognised_labels"),
    *("nll_per_code", "valid_share"),
)
"""What a card says of a model; its report says all."""
_FIELDS = {
    "alpaca": "`instruction`, `input`, `output`; a motion is written `<motion_3><motion_17>...` without separators",
    "chat": "`messages` (a question of the user, an answer of the assistant), `task` (`t2m` from text to motion, `m2t` "
    "from motion to text), `key` of the clip, `participant`",
    "parquet": "`key`, `segment`, `variant` (original, mirrored, other speeds), `mirrored`, `sport`, `label`, "
    "`participant`, `texts` (all are true of the motion), `texts_of_parts` (true of every part of it), `codes`",
    "motion-llm": "`text_query`, `motion_tokens` (code ids with spaces between them), `participant_id`, `clip_id` (the "
    "same for all variants of a clip)",
}


def card(
    to: str, suffix: str, rows: dict[str, list[dict[str, Any]]], counts: dict[str, int], about: dict[str, Any]
) -> str:
    """The card as Markdown, with the front matter from which the Hugging Face Hub and `datasets` take the splits."""
    configs = {"config_name": "default", "data_files": [{"split": s, "path": f"{s}.{suffix}"} for s in rows]}
    front = yaml.safe_dump(
        {"tags": ["motion", "sports", "motion-language"], "license": "other", "configs": [configs]}, sort_keys=False
    )
    clips = {split: {(row["key"], row["segment"]) for row in of_split} for split, of_split in rows.items()}
    people = {split: {row["participant"] for row in of_split} - {None} for split, of_split in rows.items()}
    sports = Counter(sport for of_split in rows.values() for _, sport in {(r["key"], r["sport"]) for r in of_split})
    return "\n".join(
        [
            f"---\n{front}---\n",
            "# Motion and text\n",
            "Human motion as discrete codes with texts that are true of it, made with PoseLLM Assets.\n",
            table(
                ["split", "records", "motions", "participants"],
                ([split, counts[split], len(clips[split]), len(people[split])] for split in rows),
            ),
            "",
            f"Fields: {_FIELDS[to]}.\n",
            f"Videos by sport: {', '.join(f'{escaped(sport)} {count}' for sport, count in sorted(sports.items()))}.\n",
            *(f"- {name}: {escaped(value)}" for name, value in about.items()),
            "",
            "No participant is in two splits; where nobody is named, no video is. The train split holds mirrored and "
            "speed-changed variants of its motions, with the sides in their texts swapped; the others hold originals "
            "only. Texts that the project wrote itself say what was measured on the pose; the owners' own captions and "
            "labels are kept as they were given. A code means a pose only with the tokenizer named above.\n",
            "The motions are of people: before you share the dataset, make sure that they agree to it and that the "
            "names of participants may be shown. The licence is yours to state.\n",
        ]
    )


def model_card(snapshot: str, base: str, adapter: bool, clips: int, lineage: str, figures: Mapping[str, Figure]) -> str:
    """The card of a trained model with the figures of its evaluation report (name: value and n)."""
    opener = "AutoPeftModelForCausalLM" if adapter else "AutoModelForCausalLM"
    shown = {name: figures[name] for name in CARD_FIGURES if name in figures}
    rows = [
        [
            in_words(name),
            format_figure(figure.value, is_share(name)),
            bounds(figure.model_dump(), is_share(name)),
            figure.n,
        ]
        for name, figure in shown.items()
    ]
    lines = [
        *_front("peft" if adapter else "transformers", base),
        f"# A motion language model ({escaped(snapshot)})",
        "",
        f"Base: {escaped(public_name(base))}. Motion tokenizer: {escaped(lineage)}, in `motion_tokenizer/`. "
        f"Clips trained on: {clips}. Opens with `{opener}.from_pretrained`; `vocabulary.json` says which tokens are "
        "motion.",
        "",
        "## Use",
        "",
        *([] if adapter else ["With PoseLLM Assets, to a motion:", "", f"```python\n{_MOTION}```", ""]),
        "With its library alone, to the codes of one, which is what comes after a prompt:",
        "",
        f"```python\n{_CODES.format(library='peft' if adapter else 'transformers', opener=opener)}```",
        "",
        "## Figures on held-out clips",
        "",
        table(["figure", "value", "95 % interval", "n"], rows) if rows else "Not evaluated yet.",
        "",
        "The model was trained on motions of people. `vocabulary.json` holds the names of participants, `taught.json` "
        "the texts of the training: before you share it, make sure that they may be shown. The licence is yours to "
        "state.",
    ]
    return "\n".join(lines) + "\n"


def stage_card(job: StageJob, step: int, val_before: dict[str, dict[str, Any]], losses: list[dict[str, Any]]) -> str:
    """The card beside the checkpoints of a stage: what it trains, how far it is, and its losses so far."""
    tail = [entry["loss"] for entry in losses[-max(1, len(losses) // 10) :]]
    evaluated = [entry for entry in losses if "val_loss" in entry]
    rows = [
        [f"held out before, {task}", f"{part['loss']:.4g}", f"{part['clips']} clips"]
        for task, part in val_before.items()
    ]
    rows += [[f"held out, step {entry['step']}", f"{entry['val_loss']:.4g}", "all tasks"] for entry in evaluated[-1:]]
    rows += [["training", f"{sum(tail) / len(tail):.4g}", f"the last {len(tail)} steps"]] if tail else []
    shares = ", ".join(f"{escaped(task)} {share:g}" for task, share in job.stage.tasks.items())
    lines = [
        *_front("transformers", job.model.base),
        f"# Checkpoints of {escaped(job.stage.name)} ({escaped(job.snapshot or 'no snapshot')})",
        "",
        f"Step {step} of {job.stage.steps}; base {escaped(public_name(job.model.base))}, method {job.model.method}; "
        f"tasks: {shares}; motion tokenizer: {escaped(job.lineage or 'not named')}; seed {job.seed}. "
        "Training resumes from the "
        "newest checkpoint whose files have the sha256 of its manifest. Their vocabulary holds the names of "
        "participants: before you share them, make sure that these may be shown.",
        "",
        table(["loss", "nats", "over"], rows) if rows else "No losses yet.",
    ]
    return "\n".join(lines) + "\n"


def _front(library: str, base: str) -> list[str]:
    """The front matter from which the Hub takes what kind of model it is."""
    head = ["---", f"library_name: {library}", "tags: [motion, text-to-motion]"]
    if public_name(base) == base and base != "tiny":
        head.append(yaml.safe_dump({"base_model": base}, width=1000).strip())
    return [*head, "---"]


def public_name(base: str) -> str:
    """A base model by its name; where it lies on this machine is nobody's business."""
    return Path(base).name if Path(base).exists() or base.startswith(("/", ".", "~")) else base
