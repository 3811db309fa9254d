import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from posellm_assets.motion.augment import mirror
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.errors import (
    acceleration_error_m_per_s2,
    aligned_mpjpe_mm,
    foot_skate_m_per_s,
    global_mpjpe_mm,
    mpjpe_mm,
    planted_feet,
)
from posellm_assets.motion.parts import features_of
from posellm_assets.motion.quantizers import Codebooks
from posellm_assets.motion.representation import placed, turn
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer, Network, smoothed
from posellm_assets.motion.training_data import normalisation
from posellm_assets_tests.unit.motion.people import FPS, moving_person, random_motion
from posellm_assets_tests.unit.motion.test_motion import PUPPET

SMALL = TokenizerConfig(
    codes=32, layers=1, code_size=8, width=32, encoder_blocks=2, decoder_blocks=2, frames_per_batch=256
)
SLOTS = 5  # codes of a body in each layer: trunk, arms, legs


def untrained(config):
    """Random weights, with codes that lie among the latents of some people."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    people = [moving_person(80, seed) for seed in range(8)]
    network = Network(BODY, config)
    for parameter in network.parameters():  # residual branches begin at zero and would hide what they do
        torch.nn.init.normal_(parameter, std=0.2)
    network.normalise(normalisation(people))
    with torch.no_grad():
        network.start(network.latents(batch_of(people)))
    network.eval()
    return MotionTokenizer(network, config, BODY, FPS, ("scale",), seed=0)


def batch_of(motions):
    """(B, T, D) features of each part of motions of one length."""
    return [torch.stack(of_part) for of_part in zip(*map(features_of, motions), strict=True)]


def steps_of(indices):
    """Codes of steps in each of which all parts have the same index."""
    return [slot * SMALL.codes + index for index in indices for slot in range(SLOTS)]


@pytest.fixture(scope="module")
def tokenizer():
    return untrained(SMALL)


@pytest.fixture(scope="module")
def residual():
    return untrained(SMALL.model_copy(update={"layers": 3}))


def test_every_eight_frames_are_a_code_of_each_part_and_those_are_eight_frames(tokenizer):
    codes = tokenizer.encode(moving_person(43))
    assert (tokenizer.codes_per_step, tokenizer.codebook_size) == (SLOTS, SLOTS * 32)
    assert [code // 32 for code in codes] == [0, 1, 2, 3, 4] * 5
    back = tokenizer.decode(codes)
    assert (len(back), back.fps, back.skeleton, back.unknown) == (40, FPS, BODY, ("scale",))
    assert back.known.all()


def test_the_vectors_of_a_part_s_codes_add_up_over_the_layers_to_what_is_decoded(residual):
    vectors = residual.code_vectors()
    assert vectors.shape == (residual.codebook_size, 8) == (3 * SLOTS * 32, 8)
    for number, part in enumerate(residual.network.parts):
        ids = [(layer * SLOTS + number) * 32 + 7 + layer for layer in range(3)]
        quantizer = residual.network.kinds[part.kind].quantizer
        summed = quantizer.vectors(torch.tensor([[[7, 8, 9]]]))[0, 0]
        np.testing.assert_allclose(vectors[ids].sum(0), summed.detach(), atol=1e-5)


def test_arms_share_a_codebook_and_legs_another(tokenizer):
    trunk, left_arm, right_arm, left_leg, right_leg = tokenizer.code_vectors().reshape(SLOTS, 32, 8)
    np.testing.assert_array_equal(left_arm, right_arm)
    np.testing.assert_array_equal(left_leg, right_leg)
    assert not np.allclose(left_arm, left_leg, atol=1e-2) and not np.allclose(trunk, left_leg, atol=1e-2)


def test_a_mirrored_motion_has_the_codes_of_the_other_limbs(tokenizer):
    motion = moving_person(64)
    steps, mirrored = (np.reshape(tokenizer.encode(one), (-1, SLOTS)) % 32 for one in (motion, mirror(motion)))
    assert len(np.unique(steps[:, 1:])) > 3
    np.testing.assert_array_equal(mirrored[:, 1:], steps[:, [2, 1, 4, 3]])


def test_what_one_limb_does_changes_its_own_codes_only(tokenizer):
    motion = moving_person(64, walks=False)
    waving = moving_person(64, walks=False)
    waving.joints[:, BODY.index("left_wrist"), 1] += 0.4 * np.sin(np.arange(64) / 3)
    before, after = (np.reshape(tokenizer.encode(one), (-1, SLOTS)) for one in (motion, waving))
    changed = (before != after).any(axis=0)
    assert changed.tolist() == [False, True, False, False, False]


def test_a_piece_of_a_motion_is_encoded_with_the_heading_that_the_motion_began_with(tokenizer):
    joints = moving_person(80, walks=False).joints
    turning = replace(moving_person(80), joints=turn(joints, np.linspace(0, 6, 80)[:, None]).astype(np.float32))
    whole, piece = features_of(turning)[0][40:], features_of(turning.cut(40, 80), 0.0)[0]
    torch.testing.assert_close(piece, whole)
    assert tokenizer.encode(turning.cut(40, 80), 0.0) != tokenizer.encode(turning.cut(40, 80))


def test_a_motion_has_the_same_codes_alone_and_in_a_batch_with_longer_ones(tokenizer):
    motions = [moving_person(frames, seed) for seed, frames in enumerate((16, 97, 40, 200, 23, 64))]
    assert tokenizer.encode_many(motions) == [tokenizer.encode(motion) for motion in motions]


def test_codes_decode_to_the_same_motion_alone_and_in_a_batch(tokenizer):
    sequences = [steps_of([1, 2, 3]), steps_of([4] * 20), steps_of([31, 0])]
    for together, codes in zip(tokenizer.decode_many(sequences), sequences, strict=True):
        np.testing.assert_allclose(together.joints, tokenizer.decode(codes).joints, atol=1e-4)


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer, tmp_path):
    lineage = tokenizer.save(tmp_path)
    loaded = MotionTokenizer.load(tmp_path)
    assert loaded.lineage == lineage == tokenizer.lineage
    assert loaded.encode(moving_person(60)) == tokenizer.encode(moving_person(60))
    codes = steps_of([3, 1])
    np.testing.assert_array_equal(loaded.decode(codes).joints, tokenizer.decode(codes).joints)
    assert (loaded.config, loaded.skeleton, loaded.fps, loaded.unknown) == (SMALL, BODY, FPS, ("scale",))


def test_other_weights_are_another_lineage(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    other = MotionTokenizer.load(tmp_path)
    with torch.no_grad():
        other.network.kinds["arm"].back.bias[0] += 1e-3
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


@pytest.mark.parametrize("codes", [[], [0, 32, 64, 96, 160], [-1, 32, 64, 96, 128]])
def test_codes_outside_the_codebook_are_refused(tokenizer, codes):
    with pytest.raises(ValueError, match="ids from 0 to 159"):
        tokenizer.decode(codes)


def test_residual_layers_follow_one_another_in_one_flat_list_of_ids(residual):
    motion = moving_person(42)
    ids = residual.encode(motion)
    assert (residual.codes_per_step, residual.codebook_size, len(ids)) == (15, 480, 75)
    assert [code // 32 for code in ids] == [*range(15)] * 5
    assert residual.encode_many([moving_person(90, 1), motion])[1] == ids
    assert len(residual.decode(ids)) == 40


def test_every_layer_brings_the_code_vector_nearer_to_the_latent(residual):
    with torch.no_grad():
        for kind, latents in residual.network.latents(batch_of([moving_person(80)])).items():
            quantizer = residual.network.kinds[kind].quantizer
            _, indices, _ = quantizer(latents)
            coarse = [layer.embed[indices[..., i]] for i, layer in enumerate(quantizer.layers)]
            apart = [(latents - sum(coarse[:layers])).norm().item() for layers in (1, 2, 3)]
            assert apart[0] > apart[1] > apart[2], kind


def test_half_a_step_and_codes_out_of_turn_are_refused(tokenizer):
    with pytest.raises(ValueError, match="5 blocks of 32 in turn, not 6"):
        tokenizer.decode([0, 32, 64, 96, 128, 0])
    with pytest.raises(ValueError, match="5 blocks of 32 in turn"):
        tokenizer.decode([0, 64, 32, 96, 128])


@pytest.mark.parametrize("tokens", [16, 64, 512])
def test_small_batches_do_not_throw_the_codebook_away(tokens):
    """With an absolute count as limit, a batch of 512 vectors loses 373 of 512 codes at every step."""
    torch.manual_seed(0)
    quantizer = Codebooks(TokenizerConfig(codes=512, code_size=8, layers=2), tokens).train()
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
    quantizer = Codebooks(TokenizerConfig(codes=16, layers=1, code_size=4), 64).train()
    near, far = torch.randn(1, 64, 4), torch.randn(64, 4) + 100
    quantizer.start(far)
    for _ in range(300):
        quantizer(near + 0.1 * torch.randn_like(near))
    assert (quantizer.layers[0].embed.norm(dim=-1) < 10).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_the_whole_state_of_the_quantiser_is_saved(layers):
    torch.manual_seed(0)
    config = TokenizerConfig(codes=16, layers=layers, code_size=4, width=16, frames_per_batch=256)
    first, second = Network(BODY, config).train(), Network(BODY, config).train()
    batches = [[torch.randn(4, 64, part.features) for part in first.parts] for _ in range(6)]
    for batch in batches[:3]:
        first(batch)
    for mine, other in zip(all_of(second), all_of(first), strict=True):
        mine[1].data.copy_(other[1])
    for batch in batches[3:]:
        state = torch.get_rng_state()
        first(batch)
        torch.set_rng_state(state)
        second(batch)
    for (name, mine), (_, other) in zip(all_of(first), all_of(second), strict=True):
        assert torch.equal(mine, other), name


def all_of(network):
    """What a checkpoint remembers of a network."""
    return [*network.named_parameters(), *network.named_buffers()]


def test_a_finished_network_is_trained_on_without_losing_its_codes():
    finished = untrained(SMALL)
    network = Network(BODY, SMALL).train()
    network.go_on_from(finished.network)
    network(batch_of([moving_person(64, seed) for seed in range(4)]))
    went = (network.code_vectors() - finished.network.code_vectors()).norm(dim=-1)
    assert (went < 0.1 * finished.network.code_vectors().norm(dim=-1) + 0.1).all()


def test_the_coarse_tokenizer_writes_the_first_layer_alone(residual, tmp_path):
    coarse, motion = residual.coarse(1), moving_person(64)
    assert (coarse.codes_per_step, coarse.codebook_size) == (SLOTS, SLOTS * 32)
    np.testing.assert_array_equal(coarse.code_vectors(), residual.code_vectors()[: SLOTS * 32])
    lineage = coarse.save(tmp_path)
    assert lineage != residual.lineage
    assert MotionTokenizer.load(tmp_path).encode(motion) == coarse.encode(motion)


def test_the_codes_of_all_layers_together_come_nearer_than_each_layer_s_nearest_would(residual):
    people = [moving_person(80, seed) for seed in range(10, 20)]
    with torch.no_grad():
        for kind, latents in residual.network.latents(batch_of(people)).items():
            quantizer = residual.network.kinds[kind].quantizer
            one_by_one, _, _ = quantizer(latents)
            together = quantizer.vectors(quantizer.nearest(latents))
            assert (latents - together).norm() < (latents - one_by_one).norm(), kind


def test_the_gradient_passes_the_quantiser_once_however_many_layers_there_are():
    torch.manual_seed(0)
    latents = torch.randn(1, 64, 4)
    for layers in (1, 4):
        quantizer = Codebooks(TokenizerConfig(codes=16, code_size=4, layers=layers), 64).train()
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


def test_where_a_body_faces_is_no_error_with_headings_aligned():
    walker = moving_person(40)
    elsewhere = replace(walker, joints=turn(walker.joints, np.linspace(0, 4, 40)[:, None]).astype(np.float32))
    assert mpjpe_mm(elsewhere, walker) > 150
    assert aligned_mpjpe_mm(elsewhere, walker) == pytest.approx(0, abs=0.01)
    raised = replace(elsewhere, joints=elsewhere.joints.copy())
    raised.joints[:, BODY.index("left_wrist"), 1] += 0.18
    assert aligned_mpjpe_mm(raised, walker) == pytest.approx(10, rel=1e-3)


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
    """A network that writes a step's frames at once leaves steps at the joints: decoding averages them away, 1:2:1."""
    frames = torch.tensor([[0.0], [0.0], [4.0], [4.0], [0.0]])
    assert smoothed(frames).flatten().tolist() == [0.0, 1.0, 3.0, 3.0, 1.0]
    still = torch.full((6, 2), 3.0)
    assert torch.equal(smoothed(still), still)
