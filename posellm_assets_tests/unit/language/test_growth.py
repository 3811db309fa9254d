"""A vocabulary that grows with a generation: what was there keeps its ids and its rows, to the bit."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.bases import write_base
from posellm_assets.language import adapters
from posellm_assets.language.config import Method, ModelConfig, Replay
from posellm_assets.language.train import train
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.training.backends import Backend
from posellm_assets_tests.unit.language import samples

HF = Backend("hf", "asked for")
NEW = "golf.putt-0.00000099"
# So small a step that no weight moves by a bit: what is compared is what growing does.
STANDS_STILL = {"steps": 1, "learning_rate": 1e-30}


def grown_examples(train_examples: Path) -> Path:
    """The same examples, and those of a new person in a new sport with a label of letters not seen before."""
    rows = pq.read_table(train_examples)
    about = {"key": NEW, "sport": "golf", "label": "Überschlag", "participant": "zoë", "texts": ["Überschlag 翻腾"]}
    newcomer = [{**row, **about} for row in rows.to_pylist()[:2]]
    path = train_examples.with_name("grown.parquet")
    pq.write_table(pa.concat_tables([rows, pa.Table.from_pylist(newcomer, schema=rows.schema)]), path)
    return path


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_growth_moves_no_old_id_and_no_old_row(tmp_path: Path, family: str, method: Method) -> None:
    base = write_base(family, tmp_path / "base")
    model = ModelConfig(base=str(base), method=method, lora_rank=4, backend="hf", precision="float32")
    parent = samples.job(tmp_path, "parent", {"steps": 2, "learning_rate": 1e-2}, model=model)
    train(parent, HF, lambda message: None)
    job = samples.job(
        tmp_path, "child", STANDS_STILL, model=model, parent=parent.out / "final", train=grown_examples(parent.train),
        replay=Replay(new=[NEW], share=0.5),
    )  # fmt: skip
    train(job, HF, lambda message: None)

    before, after = (Vocabulary.load(folder / "final") for folder in (parent.out, job.out))
    assert after.tokenizer.get_vocab().items() >= before.tokenizer.get_vocab().items()
    assert set(after.participants) - set(before.participants) == {"zoë"}
    assert after.participants["zoë"] == len(before) == len(after) - 1
    for text in ("squat", "squat: the knees bend 3 times", "Überschlag 翻腾"):
        assert after.encode_text(text) == before.encode_text(text)
    assert after.decode_text(after.encode_text("Überschlag 翻腾")) == "Überschlag 翻腾"

    old, new = (AutoModelForCausalLM.from_pretrained(folder / "final") for folder in (parent.out, job.out))
    assert adapters.is_tied(old) == adapters.is_tied(new) == (family == "qwen3")
    for end in ("get_input_embeddings", "get_output_embeddings"):
        rows, grown = (getattr(side, end)().weight for side in (old, new))
        assert torch.equal(rows[: len(before)], grown[: len(before)])
        assert float(grown[after.participants["zoë"]].detach().std()) == pytest.approx(
            float(rows.detach().std()), rel=0.6
        )
