import torch

from avsr_bench.nn import AVSR, DecoderState


def step_through(network: AVSR, memory: torch.Tensor, lengths: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities after every token of B, W, U, by one step at a time."""
    state = network.start(memory, lengths)
    state = state.select(torch.zeros(tokens.shape[:2], dtype=torch.long))
    answers = []
    for position in range(tokens.shape[2]):
        log_probs, state = network.step(tokens[..., position], state)
        answers.append(log_probs)
    return torch.stack(answers, 2)  # B, W, U, V


def all_at_once(network: AVSR, memory: torch.Tensor, lengths: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The same by the pass that training makes."""
    hypotheses = tokens.shape[1]
    logits = network.decoder(
        tokens.flatten(0, 1), memory.repeat_interleave(hypotheses, 0), lengths.repeat_interleave(hypotheses)
    )
    return logits.log_softmax(-1).unflatten(0, tokens.shape[:2])


def setup(make_network) -> tuple[AVSR, torch.Tensor, torch.Tensor, torch.Tensor]:
    network = make_network(layer_scale=0.5).eval()
    return network, torch.randn(2, 8, 16), torch.tensor([8, 5]), torch.randint(0, 12, (2, 3, 6))


@torch.no_grad()
def test_steps_give_what_the_whole_pass_gives(make_network):
    network, memory, lengths, tokens = setup(make_network)
    torch.testing.assert_close(
        step_through(network, memory, lengths, tokens), all_at_once(network, memory, lengths, tokens), atol=1e-5, rtol=0
    )


@torch.no_grad()
def test_no_token_sees_those_behind_it(make_network):
    network, memory, lengths, tokens = setup(make_network)
    changed = tokens.clone()
    changed[..., 4:] = (changed[..., 4:] + 1) % 12
    one, other = (all_at_once(network, memory, lengths, these) for these in (tokens, changed))
    torch.testing.assert_close(one[:, :, :4], other[:, :, :4])
    assert (one[:, :, 4] - other[:, :, 4]).abs().max() > 1e-3


@torch.no_grad()
def test_frames_behind_the_end_are_not_read(make_network):
    network, memory, lengths, tokens = setup(make_network)
    before = step_through(network, memory, lengths, tokens)
    memory[1, 5:] = 100
    torch.testing.assert_close(step_through(network, memory, lengths, tokens), before)


@torch.no_grad()
def test_select_continues_the_named_parents(make_network):
    network, memory, lengths, tokens = setup(make_network)
    _, state = network.step(tokens[:, :1, 0], network.start(memory, lengths))
    state = state.select(torch.zeros(2, 3, dtype=torch.long))
    _, state = network.step(tokens[..., 1], state)
    parents = torch.tensor([[2, 0, 2, 1], [1, 1, 0, 2]])  # more hypotheses than before, some parents twice
    _, state = network.step(tokens[:, [0, 1, 2, 0], 2], state.select(parents))
    again = torch.tensor([[3, 1], [0, 2]])  # and fewer
    log_probs, state = network.step(tokens[:, :2, 3], state.select(again))
    paths = torch.stack(
        [
            tokens[:, :1, 0].expand(2, 2),
            tokens[..., 1].gather(1, parents.gather(1, again)),
            tokens[:, [0, 1, 2, 0], 2].gather(1, again),
            tokens[:, :2, 3],
        ],
        dim=2,
    )
    torch.testing.assert_close(log_probs, all_at_once(network, memory, lengths, paths)[:, :, -1], atol=1e-5, rtol=0)
    assert state.tokens == 4


@torch.no_grad()
def test_selecting_twice_is_selecting_from_the_selected(make_network):
    network, memory, lengths, tokens = setup(make_network)
    state = network.start(memory, lengths).select(torch.zeros(2, 3, dtype=torch.long))
    _, state = network.step(tokens[..., 0], state)
    first, second = torch.tensor([[2, 1, 0], [0, 0, 1]]), torch.tensor([[1, 2, 2], [2, 0, 1]])
    twice, _ = network.step(tokens[..., 1], state.select(first).select(second))
    once, _ = network.step(tokens[..., 1], state.select(first.gather(1, second)))
    torch.testing.assert_close(twice, once)


@torch.no_grad()
def test_finished_utterances_can_be_left_behind(make_network):
    network, memory, lengths, tokens = setup(make_network)
    expected = all_at_once(network, memory, lengths, tokens[..., :2])[1:, :, -1]
    state = network.start(memory, lengths).select(torch.zeros(2, 3, dtype=torch.long))
    _, state = network.step(tokens[..., 0], state)
    state = state.select_utterances(torch.tensor([1]))
    log_probs, _ = network.step(tokens[1:, :, 1], state)
    torch.testing.assert_close(log_probs, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_state_is_not_changed_by_what_is_done_with_it(make_network):
    network, memory, lengths, tokens = setup(make_network)
    state = network.start(memory, lengths).select(torch.zeros(2, 3, dtype=torch.long))
    _, state = network.step(tokens[..., 0], state)
    before, _ = network.step(tokens[..., 1], state)
    network.step(tokens[..., 2], state.select(torch.tensor([[2, 1, 0], [0, 0, 0]])))
    after, _ = network.step(tokens[..., 1], state)
    torch.testing.assert_close(before, after, rtol=0, atol=0)
    assert isinstance(state, DecoderState)
