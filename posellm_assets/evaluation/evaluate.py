"""Measure a trained model: `python -m posellm_assets.evaluation.evaluate JOB.json` (an `EvaluateJob`).

Writes `metrics.json` (every figure with its sample size) and `index.html` (the same for people, with generated motion
beside real motion).
"""

import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from posellm_assets import __version__, lake
from posellm_assets.evaluation import measurements
from posellm_assets.evaluation.clips import originals, read_clips, read_examples
from posellm_assets.evaluation.config import EvaluateJob
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import Figures
from posellm_assets.evaluation.gate import decide
from posellm_assets.evaluation.losses import read_losses
from posellm_assets.evaluation.page import render
from posellm_assets.evaluation.showcase import showcase
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.program import Report, read_config, reporting


def main() -> None:
    """Read the job, measure, write the report."""
    job = read_config(EvaluateJob)
    torch.set_num_threads(1)
    with reporting() as report:
        try:
            run(job, report)
        except (ValueError, FileNotFoundError) as error:
            sys.exit(f"evaluation: {error}")


def run(job: EvaluateJob, report: Report) -> dict[str, Any]:
    """Measure the model of `job`, write metrics.json and index.html into `job.out`; returns the metrics."""
    started_s = time.process_time()
    train = read_examples(job.train)
    test = read_clips(job.test, job.motions)
    model = MotionLM.load(Path(job.model))
    tokenizer = MotionTokenizer.load(Path(job.tokenizer))
    evaluator = Evaluator.load(Path(job.evaluator))
    size = tokenizer.codebook_size
    figures = Figures()

    measurements.likelihood(figures, model, test, [example.codes for example in train], size)
    said = measurements.naming(figures, model, train, test, size)
    report(f"evaluation: {len(test)} held-out clips described")

    labels = sorted({example.label for example in train if example.label})
    filmed = originals(train)
    prompts = measurements.label_prompts(filmed, job.config.samples_per_label)
    samples = measurements.generate(model, tokenizer, prompts, job.sampling, job.seed)
    reconstructions = tokenizer.decode_many([clip.codes for clip in test]) if test else []
    measurements.recognition(figures, evaluator, labels, samples, test, reconstructions)
    measurements.agreement_with_held_out(figures, samples, filmed, test)
    described = measurements.described_clips(test)
    texts = [(clip.texts[-1], clip.sport, clip.label) for clip in described]
    from_texts = measurements.generate(model, tokenizer, texts, job.sampling, job.seed + len(samples))
    measurements.retrieval(figures, evaluator, test, from_texts)
    report(f"evaluation: {len(samples) + len(from_texts)} motions generated and judged")

    metrics: dict[str, Any] = {
        **figures.to_json(),
        "labels": labels,
        "test_clips": len(test),
        "said": [
            {"key": clip.key, "segment": clip.segment, "label": clip.label, "text": said[clip.key, clip.segment]}
            for clip in test
        ],
        "provenance": _provenance(job, tokenizer.lineage),
    }
    champion = lake.read_json(Path(job.champion_metrics)) if job.champion_metrics else None
    decision = decide(metrics, champion, job.config.gate)
    metrics["decision"] = {"promote": decision.promote, "reasons": list(decision.reasons)}
    metrics["seconds"] = round(time.process_time() - started_s, 1)
    out = Path(job.out)
    page = render(
        metrics,
        champion=champion,
        losses={stage: read_losses(Path(path)) for stage, path in job.losses.items()},
        rows=showcase(evaluator, labels, samples or from_texts, test, reconstructions, said),
    )
    lake.write_bytes(out / "index.html", page.encode())
    lake.write_json(out / "metrics.json", metrics)
    report(f"evaluation: report written to {out / 'index.html'} after {metrics['seconds']} s")
    return metrics


def _provenance(job: EvaluateJob, lineage: str) -> dict[str, Any]:
    """Where the figures come from: settings, seed, versions, the snapshot, the reports of tokenizer and evaluator."""
    reports = {"tokenizer": Path(job.tokenizer) / "report.json", "evaluator": Path(job.evaluator) / "report.json"}
    return {
        "seed": job.seed,
        "settings": {
            **job.config.model_dump(mode="json", exclude={"evaluator"}),
            "sampling": job.sampling.model_dump(mode="json"),
        },
        "model": Path(job.model).name,
        "tokenizer_lineage": lineage,
        "versions": {
            "posellm-assets": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "snapshot": lake.read_json(Path(job.snapshot)) if job.snapshot else None,
        **{name: lake.read_json(path) if path.exists() else None for name, path in reports.items()},
    }


if __name__ == "__main__":
    main()
