"""The program that trains a streaming coach, on a machine where the loss overflows in the third step of a fast job."""

import json
import sys
from pathlib import Path
from typing import Any

from posellm_assets.coaching.streaming import train

TOO_FAST = 0.01
_whole, _calls = train.summed_loss, [0]


def _overflowing(*arguments: Any) -> Any:
    _calls[0] += 1
    return _whole(*arguments) * (float("inf") if _calls[0] == 3 else 1.0)


if __name__ == "__main__":
    if json.loads(Path(sys.argv[1]).read_text())["config"]["learning_rate"] > TOO_FAST:
        train.summed_loss = _overflowing
    train.main()
