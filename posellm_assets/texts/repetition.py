"""How often a movement is repeated, and how regularly."""

from dataclasses import dataclass

import numpy as np

from posellm_assets.motion.motion import runs

SMOOTHING_S = 0.1
REGULAR = 0.4  # autocorrelation from which a movement counts as periodic
SHORTEST_RUN_S = 0.5
HALF = 0.5
SHORTEST_PERIOD_S = 0.35


@dataclass(frozen=True)
class Repetitions:
    """Turning points of a signal: frames of the peaks, of the valleys around them, and of the span they cover.

    `period_s` is the median time between peaks where the signal's autocorrelation at that lag shows it to be periodic,
    else None.
    """

    peaks: np.ndarray
    valleys: np.ndarray
    start: int
    end: int
    period_s: float | None


def repetitions(signal: np.ndarray, fps: float, smallest: float, share: float = HALF) -> Repetitions:
    """Count the excursions of `signal` (T,), NaN in gaps, that rise and fall by at least `smallest`.

    An excursion must also reach a `share` of the signal's robust range, so that the small movements between two large
    ones are not counted. Only those that come back within a run without gaps count.
    """
    from scipy.ndimage import gaussian_filter1d  # here, because the code server starts without SciPy
    from scipy.signal import find_peaks

    low, high = np.nanpercentile(signal, (5, 95))
    prominence = max(smallest, share * (high - low))
    peaks, valleys, gaps, agreement = [], [], [], []
    for first, last in finite_runs(signal):
        if last - first < SHORTEST_RUN_S * fps:
            continue
        run = gaussian_filter1d(signal[first:last], SMOOTHING_S * fps, mode="nearest")
        tops, _ = find_peaks(run, prominence=prominence)
        if len(tops) == 0:
            continue
        # The lowest points on either side, each once: neighbours share the valley between them.
        lows = [int(np.argmin(run[: tops[0]]))]
        for top, after in zip(tops, [*tops[1:], len(run)], strict=True):
            lows.append(int(top + np.argmin(run[top:after])))
        peaks += list(first + tops)
        valleys += [first + low for low in lows]
        if len(tops) >= 2:
            gaps += list(np.diff(tops))
            agreement.append(_autocorrelation(run[lows[0] : lows[-1] + 1], int(np.median(np.diff(tops)))))
    regular = bool(agreement) and float(np.mean(agreement)) >= REGULAR
    return Repetitions(
        peaks=np.array(peaks, dtype=int),
        valleys=np.array(valleys, dtype=int),
        start=min(valleys, default=0),
        end=max(valleys, default=0),
        period_s=float(np.median(gaps)) / fps if regular else None,
    )


def _autocorrelation(signal: np.ndarray, lag: int) -> float:
    """Correlation of a signal with itself `lag` frames later."""
    if len(signal) - lag < 3:
        return 0.0
    early, late = signal[:-lag], signal[lag:]
    if np.ptp(early) == 0 or np.ptp(late) == 0:
        return 0.0
    return float(np.corrcoef(early, late)[0, 1])


def both_ways(signal: np.ndarray, fps: float, smallest: float, share: float = HALF) -> tuple[Repetitions, int]:
    """The excursions of a signal, those to its other side where it has only such, and how many there are.

    Where a movement is cut at its turning points one of the two sides shows an excursion less.
    """
    there, back = (repetitions(way * signal, fps, smallest, share) for way in (1, -1))
    found = there if len(there.peaks) else back
    return found, max(len(found.peaks), len(back.peaks) if len(back.peaks) == len(there.peaks) + 1 else 0)


def self_similarity(signal: np.ndarray, fps: float) -> float:
    """How like itself a signal (T,) without gaps is one repetition later: the top of its autocorrelation, 0 to 1.

    Looked for between a third of a second and 0.6 of the signal's length; 0 where there is no peak.
    """
    from scipy.signal import find_peaks

    centred = signal - signal.mean()
    correlation = np.correlate(centred, centred, "full")[len(signal) - 1 :] / np.arange(len(signal), 0, -1)
    if correlation[0] <= 0:
        return 0.0
    first, last = round(SHORTEST_PERIOD_S * fps), round(0.6 * len(signal))
    peaks = [peak for peak in find_peaks(correlation)[0] if first <= peak <= last]
    return float(np.clip(max((correlation[peak] for peak in peaks), default=0.0) / correlation[0], 0, 1))


def finite_runs(signal: np.ndarray) -> list[tuple[int, int]]:
    """(first, past the last) frame of every run without a gap."""
    return runs(np.isfinite(signal))
