"""The texts group: captions that say only what was measured, beside what the owner of the clip said."""

from collections.abc import Iterator, Sequence

from posellm_assets.defs.common import noted, spec
from posellm_assets.defs.motion import MOTION
from posellm_assets.defs.videos import Done, Outcome, Tools, VideoAsset
from posellm_assets.files import sha256_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.keys import sport_of
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.texts.captions import captions_for, write_captions
from posellm_assets.texts.glossary import glossary_of


def caption(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Captions of many videos."""
    for key in keys:
        manifest = read_manifest(tools.lake, key)
        try:
            motion = Motion.read(tools.lake.motion(key))
            glossary = glossary_of(sport_of(key), tools.lake)
        except ValueError as error:
            yield key, str(error)
            continue
        captions = captions_for(
            key,
            motion,
            sport=manifest.sport,
            label=manifest.label,
            user_captions=manifest.captions,
            user_language=manifest.language,
            languages=tools.settings.texts.languages,
            glossary=glossary,
        )
        write_captions(tools.lake, captions)
        metadata = {
            "texts": noted(
                (f"{text.kind}, {text.language or 'language not said'}", text.text) for text in captions.texts
            ),
            "facts": len(captions.facts),
            "captions": tools.lake.captions(key),
        }
        yield key, Done(metadata, data_version=sha256_of(tools.lake.captions(key)))


CAPTIONS = VideoAsset(
    spec=spec(
        "captions",
        "texts",
        "Texts about a video: the owner's own words, its label, and facts measured on the movement.",
        kinds={"json"},
        deps=["motion"],
        code_version="5",
    ),
    work=caption,
    path=Lake.captions,
    needs=(MOTION,),
)
