"""What could the athlete do better? A vision-language model answers about pictures: its questions, and the model."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets.coaching.model.dataset import PictureRow, UnusableCoaching, picture_rows, read_picture_rows
from posellm_assets.coaching.model.images import read_picture
from posellm_assets.files import read_json, sha256_of
from posellm_assets.vision.config import FramesConfig, VisionJob
from posellm_assets.vision.frames import letterboxed
from posellm_assets.vision.inputs import Seen, answer_ids, model_inputs, see
from posellm_assets.vision.learning import Asked, Learner
from posellm_assets.vision.model import LoadedVision, load_finished

VISION_COACH = "vision_coach.json"
_MOST_TOKENS = 2048  # of an answer; one that is cut off there follows no schema


class VisionCoach:
    """Answers as the rows that it was trained on are answered."""

    def __init__(self, loaded: LoadedVision, frames: FramesConfig):
        self.loaded, self.frames = loaded, frames

    @classmethod
    def load(cls, folder: Path) -> "VisionCoach":
        """The model that `vision_train` finished; raises UnusableCoaching where `folder` holds none."""
        if not (folder / VISION_COACH).is_file():
            raise UnusableCoaching(f"{folder} holds no {VISION_COACH}: it is no finished vision coaching model")
        return cls(load_finished(folder), FramesConfig.model_validate(read_json(folder / VISION_COACH)["frames"]))

    @torch.inference_mode()
    def answers(self, rows: Sequence[PictureRow]) -> list[str]:
        """What is said about each row's picture, by greedy decoding; what the row answers is not looked at.

        Raises UnusableCoaching where a picture cannot be read.
        """
        self.loaded.model.eval()
        device, tokenizer = self.loaded.inner.device, self.loaded.tokenizer
        texts = []
        for row in rows:
            seen = picture_question(self.loaded, row, self.frames)
            ids = torch.tensor([seen.ids])
            said = self.loaded.model.generate(
                **model_inputs(self.loaded, [seen], ids, device),
                attention_mask=torch.ones_like(ids).to(device),
                do_sample=False,
                repetition_penalty=1.0,  # whatever the base comes with: JSON repeats its keys
                max_new_tokens=_MOST_TOKENS,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            texts.append(str(tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)))
        return texts


class RowQuestions:
    """`Questions` that are rows of a coaching data set, as often as they stand in it.

    Raises UnusableCoaching where there is none, or no row with a picture to train on.
    """

    purpose = "answers about athletes as coaching labels do"
    about_file = VISION_COACH

    def __init__(self, job: VisionJob):
        self._job = job
        files = [picture_rows(job.dataset, split) for split in ("train", "val")]
        self._rows, self._held_out = map(read_picture_rows, files)
        if not self._rows:
            raise UnusableCoaching(f"{files[0]} has no row: label videos that have a contact sheet, or pictures")
        self.clips, self.held_out = len(self._rows), len(self._held_out)
        self.summary = f"{self.clips} pictures of {len({row.activity for row in self._rows})} activities"
        self.about: dict[str, Any] = {}
        pictures = sorted({row.picture for row in (*self._rows, *self._held_out)})
        hashes = "\n".join(sha256_of(path) for path in (*files, *pictures))
        self.sha256 = hashlib.sha256(hashes.encode()).hexdigest()

    def texts(self) -> Iterator[str]:
        """Prompts, questions and answers to train on."""
        yield "<0.0 seconds>"
        for row in self._rows:
            yield from (row.prompt, row.question, row.answer)

    def name(self, place: int) -> str:
        """The id of the row at a place."""
        return self._drawn(place).id

    def asked(self, place: int, loaded: LoadedVision) -> Asked:
        """The row at a place. Its picture is not moved or mirrored: the answer says sides and coordinates."""
        row = self._drawn(place)
        return picture_question(loaded, row, self._job.model.frames), answer_ids(loaded, row.answer)

    @torch.inference_mode()
    def evaluate(self, learner: Learner) -> dict[str, Any]:
        """Share of held-out answers that greedy decoding gives word for word, minus their mean log-likelihood, n."""
        learner.loaded.model.eval()
        processes = learner.processes
        right = torch.zeros(2, dtype=torch.float64, device=processes.device)
        for row in processes.share(self._held_out):
            seen = picture_question(learner.loaded, row, self._job.model.frames)
            scores, wanted = learner.scores([(seen, answer_ids(learner.loaded, row.answer))])
            right[0] += bool((scores.argmax(-1) == wanted).all())
            right[1] += torch.nn.functional.cross_entropy(scores.float(), wanted, reduction="sum")
        processes.add_up([right])
        accuracy, nats = (right / self.held_out).tolist()
        return {"accuracy": accuracy, "nats": nats, "clips": self.held_out}

    def _drawn(self, place: int) -> PictureRow:
        epoch, within = divmod(place, self.clips)
        return self._rows[np.random.default_rng([self._job.seed, epoch]).permutation(self.clips)[within]]


def picture_question(loaded: LoadedVision, row: PictureRow, frames: FramesConfig) -> Seen:
    """A row's picture, as a film in which nothing moves, and what is asked about it.

    Raises UnusableCoaching where the picture cannot be read, UnsupportedModel where the model cannot see that size.
    """
    try:
        picture = letterboxed(read_picture(row.picture), frames.size_px)
    except (OSError, ValueError) as error:
        raise UnusableCoaching(f"{row.picture}: {error}; make the data set again") from error
    still, times_s = np.stack([picture] * frames.count), np.zeros(frames.count)
    return see(loaded, still, times_s, row.question, row.prompt)
