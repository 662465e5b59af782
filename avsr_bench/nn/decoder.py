"""The Transformer decoder: a whole transcript at once for training, one token at a time for search.

In search every utterance has W hypotheses side by side. What the decoder makes of the encoder's output is computed once
an utterance and read by all of its hypotheses; keys and values of the tokens so far are kept, never computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import NORM_EPS, Dropout, FeedForward, layer_scale, length_mask, run, sinusoids
from .low_rank import Ranks, linear, stack
from .settings import NetworkSettings

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class DecoderState:
    """Where a search stands: B utterances, W hypotheses of each, U tokens in each of those; a pair of tensors a block.

    Reordering moves only `rows`. The next step, which has to write longer keys and values anyway, gathers by them.
    """

    memory: tuple[Pair, ...]  # keys and values of the frames: B, H, T, C
    keep: Tensor  # B, 1, 1, T: true where a frame belongs to its utterance
    cache: tuple[Pair, ...]  # keys and values of the tokens: U, N, D
    rows: Tensor  # B, W: where among the N each hypothesis has its tokens

    @property
    def tokens(self) -> int:
        """How many tokens each hypothesis has."""
        return len(self.cache[0][0])

    def select(self, parents: Tensor) -> DecoderState:
        """Other hypotheses of the same utterances: `parents` (B, W') says whose tokens each new one continues.

        W' may be larger or smaller than W, and a parent may be named more than once or not at all.
        """
        return replace(self, rows=self.rows.gather(1, parents))

    def select_utterances(self, utterances: Tensor) -> DecoderState:
        """Only these utterances, by number (B'): the others are finished."""
        memory = tuple(
            (keys.index_select(0, utterances), values.index_select(0, utterances)) for keys, values in self.memory
        )
        keep, rows = (of.index_select(0, utterances) for of in (self.keep, self.rows))
        return replace(self, memory=memory, keep=keep, rows=rows)


def longer(kept: Tensor, rows: Tensor, newest: Tensor) -> Tensor:
    """The kept vectors (U, N, D) of some rows (N') with the newest of each (N', D) behind them: U+1, N', D."""
    whole = newest.new_empty(len(kept) + 1, *newest.shape)
    torch.index_select(kept, 1, rows, out=whole[:-1])  # one copy where select, then cat would make two
    whole[-1] = newest
    return whole


class Attention(nn.Module):
    """Attention from tokens to tokens or to frames: one residual branch, in pieces that training and search share."""

    def __init__(self, settings: NetworkSettings, kept: float = 1.0) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        self.dropout = settings.attention_dropout
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.query = linear(width, width, kept)
        self.key = linear(width, width, kept)
        self.value = linear(width, width, kept)
        self.output = linear(width, width, kept)

    def split(self, x: Tensor) -> Tensor:
        """Heads apart: B, U, D to B, H, U, C."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, causal: bool = False) -> Tensor:
        """Mix values by how well keys answer queries: B, H, U, C to B, U, D."""
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, keep, dropout_p=dropout, is_causal=causal)
        return self.output(mixed.transpose(1, 2).flatten(2))


class DecoderBlock(nn.Module):
    """One block of the decoder: attention to the tokens so far, to the frames, and a feed-forward branch."""

    def __init__(self, settings: NetworkSettings, ranks: Ranks) -> None:
        super().__init__()
        width, initial = settings.width, settings.layer_scale
        self.attention = Attention(settings, ranks.attention)
        self.cross_attention = Attention(settings, ranks.attention)
        self.feed_forward = FeedForward(width, settings.feed_forward, ranks.feed_forward, settings.dropout)
        self.scale_attention, self.scale_cross_attention, self.scale_feed_forward = (
            layer_scale(width, initial) for _ in range(3)
        )
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, memory: Tensor, keep: Tensor) -> Tensor:
        """All tokens at once, each seeing those before it: x is B, U, D; memory B, T, D; keep B, 1, 1, T."""
        own = self.attention
        normed = own.norm(x)
        query, key, value = (own.split(layer(normed)) for layer in (own.query, own.key, own.value))
        x = x + self.dropout(self.scale_attention(own.attend(query, key, value, None, causal=True)))
        return self._rest(x, self.remember(memory), keep)

    def step(self, x: Tensor, cache: Pair, rows: Tensor, memory: Pair, keep: Tensor) -> tuple[Tensor, Pair]:
        """One more token of every hypothesis (B, W, D), and the keys and values of all their tokens."""
        own = self.attention
        normed = own.norm(x).flatten(0, 1)  # N, D
        keys = longer(cache[0], rows, own.key(normed))
        values = longer(cache[1], rows, own.value(normed))
        query, key, value = (own.split(of.transpose(0, 1)) for of in (own.query(normed)[None], keys, values))
        mixed = own.attend(query, key, value, None).view_as(x)
        return self._rest(x + self.scale_attention(mixed), memory, keep), (keys, values)

    def remember(self, memory: Tensor) -> Pair:
        """Keys and values of the encoder's frames: 2 x (B, H, T, C)."""
        cross = self.cross_attention
        return cross.split(cross.key(memory)), cross.split(cross.value(memory))

    def _rest(self, x: Tensor, memory: Pair, keep: Tensor) -> Tensor:
        """From attention to the frames on: here tokens of a transcript and hypotheses of an utterance are alike."""
        cross = self.cross_attention
        query = cross.split(cross.query(cross.norm(x)))
        x = x + self.dropout(self.scale_cross_attention(cross.attend(query, *memory, keep)))
        return x + self.dropout(self.scale_feed_forward(self.feed_forward(x)))


class Decoder(nn.Module):
    """Tokens so far and what the encoder made of the clip to logits of the next token."""

    def __init__(self, settings: NetworkSettings, tokens: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, settings.width)
        blocks = nn.ModuleList(DecoderBlock(settings, ranks) for ranks in stack(settings, settings.decoder_blocks))
        self.blocks = cast("list[DecoderBlock]", blocks)  # ModuleList forgets what is in it
        self.norm = nn.LayerNorm(settings.width, eps=NORM_EPS)
        self.output: nn.Module = nn.Linear(settings.width, tokens)
        self.dropout = Dropout(settings.dropout)
        self.checkpointing = settings.checkpointing

    def forward(self, tokens: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        """Logits of what follows each token: B, U to B, U, V."""
        keep = length_mask(lengths, memory.shape[1])[:, None, None]
        x = self._embed(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = run(block, x, memory, keep, checkpointing=self.checkpointing)
        logits: Tensor = self.output(self.norm(x))
        return logits

    def start(self, memory: Tensor, lengths: Tensor) -> DecoderState:
        """The state before the first token: one hypothesis an utterance, no tokens in it."""
        clips, frames, width = memory.shape
        remembered = tuple(block.remember(memory) for block in self.blocks)
        empty = remembered[0][0].new_empty(0, clips, width)  # their type: under autocast it is not the memory's
        return DecoderState(
            memory=remembered,
            keep=length_mask(lengths, frames)[:, None, None],
            cache=((empty, empty),) * len(self.blocks),
            rows=torch.arange(clips, device=memory.device)[:, None],
        )

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Logits of what follows `tokens`, the newest of every hypothesis (B, W): B, W, V."""
        x = self._embed(tokens, torch.full((1,), state.tokens, device=tokens.device))
        cache, rows = [], state.rows.flatten()
        for block, kept, memory in zip(self.blocks, state.cache, state.memory, strict=True):
            x, kept = block.step(x, kept, rows, memory, state.keep)
            cache.append(kept)
        state = replace(state, cache=tuple(cache), rows=torch.arange(len(rows), device=rows.device).view_as(tokens))
        return self.output(self.norm(x)), state

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x = self.embed(tokens) * self.embed.embedding_dim**0.5
        return self.dropout(x + sinusoids(positions, x.shape[-1]).to(x.dtype))


class HeadedDecoder(nn.Module):
    """A decoder without an output of its own, with one of several that it is shared by."""

    def __init__(self, decoder: Decoder, output: nn.Module) -> None:
        super().__init__()
        self.decoder, self.output = decoder, output

    def forward(self, tokens: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        """As of a decoder."""
        logits: Tensor = self.output(self.decoder(tokens, memory, lengths))
        return logits

    def start(self, memory: Tensor, lengths: Tensor) -> DecoderState:
        """As of a decoder."""
        return self.decoder.start(memory, lengths)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """As of a decoder."""
        hidden, state = self.decoder.step(tokens, state)
        return self.output(hidden), state
