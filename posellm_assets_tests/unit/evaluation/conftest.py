import pytest

from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets_tests.unit.evaluation.world import World, build_model, build_tokenizer, build_world


@pytest.fixture(scope="package")
def world(tmp_path_factory) -> World:
    """Motions of five people to train on and of two held out."""
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="package")
def tokenizer(world):
    """The folder of a tokenizer trained on the train people."""
    return build_tokenizer(world)


@pytest.fixture(scope="package")
def trained(world, tokenizer):
    """(train examples, test examples, model folder): labelled clips with their codes and a model taught on them."""
    codes = MotionTokenizer.load(tokenizer)
    train = world.examples("train", world.keys("train"), codes, variants=True)
    return train, world.examples("test", world.keys("test"), codes), build_model(world.folder, train)
