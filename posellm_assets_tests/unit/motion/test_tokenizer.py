import json

import numpy as np
import pytest
import torch

from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.errors import (
    acceleration_error_m_per_s2,
    foot_skate_m_per_s,
    global_mpjpe_mm,
    mpjpe_mm,
    planted_feet,
)
from posellm_assets.motion.quantizers import Codebooks
from posellm_assets.motion.representation import encode, placed
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer, Network, smoothed
from posellm_assets_tests.unit.motion.people import FPS, moving_person, random_motion
from posellm_assets_tests.unit.motion.test_motion import PUPPET

SMALL = TokenizerConfig(codes=32, code_size=8, width=32, encoder_blocks=2, decoder_blocks=2, frames_per_batch=256)


def untrained(config):
    """Random weights, with codes that lie among the latents of some people."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    features = np.concatenate([encode(moving_person(80, seed)) for seed in range(8)])
    network = Network(features.shape[1], config)
    for parameter in network.parameters():  # residual branches begin at zero and would hide what they do
        torch.nn.init.normal_(parameter, std=0.2)
    network.mean, network.std = (
        torch.from_numpy(features.mean(0)).float(),
        torch.from_numpy(features.std(0) + 0.1).float(),
    )
    with torch.no_grad():
        network.quantizer.start(network.latents(network.normalise(features)[None])[0])
    network.eval()
    return MotionTokenizer(network, config, BODY, FPS, ("scale",), seed=0)


@pytest.fixture(scope="module")
def tokenizer():
    return untrained(SMALL)


@pytest.fixture(scope="module")
def residual():
    return untrained(SMALL.model_copy(update={"layers": 3}))


def test_every_four_frames_are_a_code_and_a_code_is_four_frames(tokenizer):
    codes = tokenizer.encode(moving_person(43))
    assert len(codes) == 10
    assert all(0 <= code < tokenizer.codebook_size for code in codes)
    back = tokenizer.decode(codes)
    assert (len(back), back.fps, back.skeleton, back.unknown) == (40, FPS, BODY, ("scale",))
    assert back.known.all()


def test_the_vectors_of_a_step_s_codes_add_up_to_what_is_decoded(residual):
    finite = untrained(SMALL.model_copy(update={"quantizer": "fsq", "fsq_levels": (4, 8)}))
    for each in (residual, finite):
        ids = [layer * each.config.codes + 7 for layer in range(each.codes_per_step)]
        summed = each.network.quantizer.vectors(torch.full((1, 1, each.codes_per_step), 7))[0, 0]
        np.testing.assert_allclose(each.code_vectors()[ids].sum(0), summed.detach(), atol=1e-5)
        assert each.code_vectors().shape == (each.codebook_size, each.config.code_size)


def test_a_motion_has_the_same_codes_alone_and_in_a_batch_with_longer_ones(tokenizer):
    motions = [moving_person(frames, seed) for seed, frames in enumerate((16, 97, 40, 200, 23, 64))]
    assert tokenizer.encode_many(motions) == [tokenizer.encode(motion) for motion in motions]


def test_codes_decode_to_the_same_motion_alone_and_in_a_batch(tokenizer):
    sequences = [[1, 2, 3], [4] * 20, [31, 0]]
    for together, codes in zip(tokenizer.decode_many(sequences), sequences, strict=True):
        np.testing.assert_allclose(together.joints, tokenizer.decode(codes).joints, atol=1e-4)


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer, tmp_path):
    lineage = tokenizer.save(tmp_path)
    loaded = MotionTokenizer.load(tmp_path)
    assert loaded.lineage == lineage == tokenizer.lineage
    assert loaded.encode(moving_person(60)) == tokenizer.encode(moving_person(60))
    np.testing.assert_array_equal(loaded.decode([3, 1]).joints, tokenizer.decode([3, 1]).joints)
    assert (loaded.config, loaded.skeleton, loaded.fps, loaded.unknown) == (SMALL, BODY, FPS, ("scale",))


def test_other_weights_are_another_lineage(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    other = MotionTokenizer.load(tmp_path)
    with torch.no_grad():
        other.network.back.bias[0] += 1e-3
    assert other.lineage != tokenizer.lineage


def test_a_damaged_weights_file_is_noticed(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match="do not belong together or are damaged"):
        MotionTokenizer.load(tmp_path)


def test_a_folder_without_a_tokenizer_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"no model\.safetensors and no config\.json"):
        MotionTokenizer.load(tmp_path)


def test_a_tokenizer_of_another_version_is_refused(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"schema_version": 99}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"config\.json is damaged \(schema_version: .* train the tokenizer again"):
        MotionTokenizer.load(tmp_path)


def test_motion_that_does_not_fit_is_refused(tokenizer):
    with pytest.raises(ValueError, match="skeleton body, not puppet"):
        tokenizer.encode(random_motion(20, PUPPET, 0))
    with pytest.raises(ValueError, match="only 3"):
        tokenizer.encode(moving_person(3))
    faster = moving_person(20)
    object.__setattr__(faster, "fps", 30.0)
    with pytest.raises(ValueError, match=r"20\.0 frames/s, not 30\.0"):
        tokenizer.encode(faster)
    gap = moving_person(20)
    gap.joints[5] = np.nan
    with pytest.raises(ValueError, match="unknown"):
        tokenizer.encode(gap)


@pytest.mark.parametrize("codes", [[], [32], [-1, 3]])
def test_codes_outside_the_codebook_are_refused(tokenizer, codes):
    with pytest.raises(ValueError, match="ids from 0 to 31"):
        tokenizer.decode(codes)


def test_residual_layers_follow_one_another_in_one_flat_list_of_ids(residual):
    motion = moving_person(42)
    ids = residual.encode(motion)
    assert (residual.codes_per_step, residual.codebook_size, len(ids)) == (3, 96, 30)
    assert [code // 32 for code in ids] == [0, 1, 2] * 10
    assert residual.encode_many([moving_person(90, 1), motion])[1] == ids
    assert len(residual.decode(ids)) == 40


def test_every_layer_brings_the_code_vector_nearer_to_the_latent(residual):
    network = residual.network
    with torch.no_grad():
        latents = network.latents(network.normalise(encode(moving_person(80)))[None])
        _, indices, _ = network.quantizer(latents)
        coarse = [layer.embed[0][indices[..., i]] for i, layer in enumerate(network.quantizer.layers)]
    apart = [(latents - sum(coarse[:layers])).norm().item() for layers in (1, 2, 3)]
    assert apart[0] > apart[1] > apart[2]


def test_half_a_step_and_layers_out_of_turn_are_refused(residual):
    with pytest.raises(ValueError, match="3 layers of 32 in turn, not 4"):
        residual.decode([0, 32, 64, 0])
    with pytest.raises(ValueError, match="3 layers of 32 in turn"):
        residual.decode([0, 64, 32])


def test_finite_scalars_write_and_read_a_motion():
    fsq = untrained(SMALL.model_copy(update={"quantizer": "fsq", "fsq_levels": (2, 4, 4)}))
    ids = fsq.encode(moving_person(80))
    assert len(set(ids)) > 3 and all(0 <= code < 32 for code in ids)
    with torch.no_grad():
        latents = fsq.network.latents(fsq.network.normalise(encode(moving_person(80)))[None])
        vectors, indices, _ = fsq.network.quantizer(latents)
    assert indices.flatten().tolist() == ids
    torch.testing.assert_close(fsq.network.quantizer.vectors(indices), vectors)


@pytest.mark.parametrize("tokens", [16, 64, 512])
def test_small_batches_do_not_throw_the_codebook_away(tokens):
    """With an absolute count as limit, a batch of 512 vectors loses 373 of 512 codes at every step."""
    torch.manual_seed(0)
    config = TokenizerConfig(codes=512, code_size=8, width=16, frames_per_batch=tokens * 4, layers=2)
    quantizer = Codebooks(config).train()
    vectors = torch.randn(4_000, 8)
    quantizer.start(vectors)
    replaced = []
    for _ in range(50):
        before = [layer.embed.clone() for layer in quantizer.layers]
        quantizer(vectors[torch.randint(len(vectors), (1, tokens))])
        moved = [(layer.embed - old).norm(dim=-1) for layer, old in zip(quantizer.layers, before, strict=True)]
        replaced.append([(far > 0.5 * old.norm(dim=-1)).sum().item() for far, old in zip(moved, before, strict=True)])
    assert (np.mean(replaced, axis=0) < 512 * 0.01).all()


def test_a_code_that_nothing_uses_is_put_where_it_is_needed():
    torch.manual_seed(0)
    quantizer = Codebooks(TokenizerConfig(codes=16, code_size=4, width=16, frames_per_batch=256)).train()
    near, far = torch.randn(1, 64, 4), torch.randn(64, 4) + 100
    quantizer.start(far)
    for _ in range(300):
        quantizer(near + 0.1 * torch.randn_like(near))
    assert (quantizer.layers[0].embed.norm(dim=-1) < 10).all()


QUANTIZERS = [{}, {"layers": 2}, {"quantizer": "fsq", "fsq_levels": (4, 4)}]


@pytest.mark.parametrize("settings", QUANTIZERS)
def test_the_whole_state_of_the_quantiser_is_saved(settings):
    torch.manual_seed(0)
    config = TokenizerConfig(codes=16, code_size=4, width=16, frames_per_batch=256, **settings)
    first, second = Network(30, config).train(), Network(30, config).train()
    batches = torch.randn(6, 4, 64, 30)
    for batch in batches[:3]:
        first(batch)
    second.load_state_dict(first.state_dict())
    for batch in batches[3:]:
        state = torch.get_rng_state()
        first(batch)
        torch.set_rng_state(state)
        second(batch)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_the_gradient_passes_the_quantiser_once_however_many_layers_there_are():
    torch.manual_seed(0)
    latents = torch.randn(1, 64, 4)
    for layers in (1, 4):
        quantizer = Codebooks(TokenizerConfig(codes=16, code_size=4, layers=layers)).train()
        quantizer.start(latents[0])
        free = latents.clone().requires_grad_()
        vectors, _, _ = quantizer(free)
        vectors.sum().backward()
        turned_and_scaled = vectors.norm(dim=-1) / latents.norm(dim=-1) * 2.0  # |(1, 1, 1, 1)| = 2
        torch.testing.assert_close(free.grad.norm(dim=-1), turned_and_scaled.detach(), rtol=1e-3, atol=1e-3)


def test_errors_are_in_the_units_that_they_say():
    still = random_motion(10, BODY, 0)
    still.joints[:] = still.joints[0]
    moved = random_motion(10, BODY, 0)
    moved.joints[:] = still.joints
    moved.joints[:, 1:, 0] += 0.05
    assert mpjpe_mm(moved, still) == pytest.approx(50 * 17 / 18, rel=1e-4)
    moved.joints[:] = still.joints + 1.0
    assert mpjpe_mm(moved, still) == pytest.approx(0, abs=1e-3)
    assert global_mpjpe_mm(moved, still) == pytest.approx(1000 * np.sqrt(3), rel=1e-4)
    falling = random_motion(10, BODY, 0)
    falling.joints[:] = still.joints
    falling.joints[..., 1] -= (4.9 * (np.arange(10) / FPS) ** 2)[:, None]
    assert acceleration_error_m_per_s2(falling, still) == pytest.approx(9.8, rel=1e-2)
    with pytest.raises(ValueError, match="cannot compare"):
        mpjpe_mm(still, placed(still).cut(0, 5))


def test_feet_skate_where_they_should_stand():
    standing = moving_person(20, walks=False)
    feet = list(BODY.feet)
    standing.joints[:, feet] = standing.joints[0, feet]
    planted = planted_feet(standing)
    assert planted.all() and planted.shape == (19, 4)
    assert foot_skate_m_per_s(standing, planted) == 0
    sliding = moving_person(20, walks=False)
    sliding.joints[:] = standing.joints
    sliding.joints[:, feet, 0] += 0.3 * (np.arange(20) / FPS)[:, None]
    assert foot_skate_m_per_s(sliding, planted) == pytest.approx(0.3, rel=1e-4)
    assert not planted_feet(sliding).any()
    assert foot_skate_m_per_s(sliding, planted_feet(sliding)) is None


def test_what_is_decoded_does_not_jitter_where_groups_of_frames_join() -> None:
    """A network that writes four frames at once leaves steps at the joints: decoding averages them away, 1:2:1."""
    frames = torch.tensor([[0.0], [0.0], [4.0], [4.0], [0.0]])
    assert smoothed(frames).flatten().tolist() == [0.0, 1.0, 3.0, 3.0, 1.0]
    still = torch.full((6, 2), 3.0)
    assert torch.equal(smoothed(still), still)
