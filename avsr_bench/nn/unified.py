"""One network for lips, sound and both (USR, arXiv 2411.02256): what it learns from one it knows of the others.

pictures ─► front-end ─┬─► entrance video ─┐
                       ├─► entrance av ────┼─► shared blocks ─► CTC heads, shared decoder ─► output heads
sound ────► front-end ─┴─► entrance audio ─┘

network = Unified(settings, tokens)
lips = network.view("video")        # a recogniser like any other; its weights are the network's
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from .decoder import Decoder, HeadedDecoder
from .encoder import make_blocks, stages, through
from .frontend import make_frontend
from .inputs import Inputs, shown, without
from .layers import NORM_EPS, Dropout
from .recogniser import Recogniser
from .settings import Modality, NetworkSettings
from .size import check_size

VIEWS: tuple[Modality, ...] = get_args(Modality)


class Unified(nn.Module):
    """A shared encoder and decoder, with an entrance and two heads for each of lips, sound and both."""

    modality = "unified"

    def __init__(self, settings: NetworkSettings, tokens: int) -> None:
        super().__init__()
        check_size("unified", settings, tokens)
        self.settings, self.tokens, width = settings, tokens, settings.width
        frontends = {name: make_frontend(name, settings) for name in ("video", "audio")}
        self.frontends = nn.ModuleDict(frontends)
        seen, heard = (frontend.width for frontend in frontends.values())
        inputs = {"video": seen, "audio": heard, "av": seen + heard}
        self.entrances = nn.ModuleDict({view: nn.Linear(inputs[view], width) for view in VIEWS})
        self.blocks = make_blocks(settings)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = Dropout(settings.dropout)
        # As published, LayerScale is the encoder's alone.
        self.decoder = Decoder(replace(settings, layer_scale=None), tokens)
        self.decoder.output = nn.Identity()
        self.outputs = nn.ModuleDict({view: nn.Linear(width, tokens) for view in VIEWS})
        self.ctc = nn.ModuleDict({view: nn.Linear(width, tokens) for view in VIEWS})

    def encode(
        self, inputs: Inputs, lengths: Tensor, views: tuple[Modality, ...] = VIEWS, hidden: Tensor | None = None
    ) -> Tensor:
        """One vector a frame, the views one behind another: len(views) B, T, D.

        `inputs` is (video, audio); for a single view what that view reads. Frames that are `hidden` (B, T) are taken
        out of all of it.
        """
        x = self._entering(inputs, lengths, views, hidden)
        of_views = lengths.repeat(len(views))
        return self.norm(through(self.blocks, x, of_views, self.dropout, self.settings.checkpointing))

    def block_outputs(self, inputs: Inputs, lengths: Tensor, views: tuple[Modality, ...] = VIEWS) -> tuple[Tensor, ...]:
        """What each block leaves, before the norm behind the last one: len(views) B, T, D of each."""
        x = self._entering(inputs, lengths, views, None)
        of_views = lengths.repeat(len(views))
        _, *found = stages(self.blocks, x, of_views, self.dropout, self.settings.checkpointing)
        return tuple(found)

    def _entering(self, inputs: Inputs, lengths: Tensor, views: tuple[Modality, ...], hidden: Tensor | None) -> Tensor:
        if isinstance(inputs, Tensor):
            (view,) = views
            return self._entered(view, self._front(view, inputs, lengths, hidden))
        seen, heard = (self._front(name, of, lengths, hidden) for name, of in zip(self.frontends, inputs, strict=True))
        fronts = {"video": seen, "audio": heard, "av": torch.cat((seen, heard), dim=-1)}
        return torch.cat([self._entered(view, fronts[view]) for view in views])

    def _entered(self, view: str, front: Tensor) -> Tensor:
        entered: Tensor = self.entrances[view](front)
        return entered

    def _front(self, name: str, inputs: Tensor, lengths: Tensor, hidden: Tensor | None) -> Tensor:
        inputs = shown(inputs, lengths, self.settings.centre) if name == "video" else inputs
        inputs = inputs if hidden is None else without(inputs, hidden)
        frontend: Tensor = self.frontends[name](inputs, lengths)
        return frontend

    def view(self, modality: Modality) -> View:
        """This network as the recogniser of one modality."""
        return View(self, modality)


class View(Recogniser):
    """A unified network as the recogniser of one modality: no weights of its own."""

    def __init__(self, whole: Unified, modality: Modality) -> None:
        super().__init__()
        self.whole, self.modality, self.settings, self.tokens = whole, modality, whole.settings, whole.tokens
        self.training = whole.training
        self.decoder = HeadedDecoder(whole.decoder, whole.outputs[modality])
        head = whole.ctc[modality]
        assert isinstance(head, nn.Linear)
        self.ctc = head

    def encode(self, inputs: Inputs, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As of any recogniser."""
        return self.whole.encode(inputs, lengths, (self.modality,)), lengths
