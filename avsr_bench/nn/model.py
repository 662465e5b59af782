"""The recogniser: encoders, fusion, CTC head and decoder in one network, the one that the papers trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conformer import Encoder
from .decoder import Decoder, DecoderState
from .fusion import Fusion
from .layers import length_mask
from .loss import PADDING, Answers, Losses, joint_loss
from .settings import LossSettings, Modality, NetworkSettings
from .size import check_size

MEAN, DEVIATION = 0.421, 0.165  # of grey mouths, in the published preparation
STRETCH = 4.0  # brings what varies within a clip to a deviation near 1
Inputs = Tensor | tuple[Tensor, Tensor]  # of one modality, or (video, audio)


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of about one length, padded to the longest at their ends."""

    lengths: Tensor  # B: frames of each clip
    tokens: Tensor  # B, U: each transcript without sos and eos, padded with -1
    video: Tensor | None = None  # B, T, H, W: grey mouths, uint8; or floats, (x / 255 - 0.421) / 0.165
    audio: Tensor | None = None  # B, 640 T: 16 kHz samples, of mean 0 and deviation 1 over each clip
    keys: tuple[str, ...] = ()  # of the clips, to name them in messages
    weights: Tensor | None = None  # B: what the loss of each clip counts; none: all alike

    @property
    def inputs(self) -> Inputs:
        """What a network of this batch's modality reads."""
        if self.video is not None and self.audio is not None:
            return self.video, self.audio
        only = self.video if self.audio is None else self.audio
        if only is None:
            raise ValueError("a batch holds video, audio or both")
        return only

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        lengths, tokens, video, audio, weights = (
            None if tensor is None else tensor.to(device, non_blocking=non_blocking)
            for tensor in (self.lengths, self.tokens, self.video, self.audio, self.weights)
        )
        assert lengths is not None and tokens is not None
        return Batch(lengths, tokens, video, audio, self.keys, weights)


class AVSR(nn.Module):
    """Reads lips, hears, or both.

    >>> network = AVSR("video", NetworkSettings(width=8, heads=2, encoder_blocks=1, decoder_blocks=1), tokens=30).eval()
    >>> memory, lengths = network.encode(torch.zeros(2, 5, 48, 48), torch.tensor([5, 3]))
    >>> state = network.start(memory, lengths)
    >>> first = torch.full((2, 1), network.sos)  # two utterances with one hypothesis each
    >>> log_probs, state = network.step(first, state)
    >>> best = log_probs[:, 0].topk(4).indices  # each is continued by its four best tokens
    >>> log_probs, state = network.step(best, state.select(torch.zeros_like(best)))
    >>> log_probs.shape, state.tokens
    (torch.Size([2, 4, 30]), 2)
    """

    def __init__(self, modality: Modality, settings: NetworkSettings, tokens: int) -> None:
        super().__init__()
        check_size(modality, settings, tokens)
        self.modality, self.settings, self.tokens = modality, settings, tokens
        self.sos = self.eos = tokens - 1
        modalities = ("video", "audio") if modality == "av" else (modality,)
        self.encoders = nn.ModuleDict({name: Encoder(name, settings) for name in modalities})
        if modality == "av":
            self.fusion = Fusion(settings.width, settings.fusion)
        self.decoder = Decoder(settings, tokens)
        self.ctc = nn.Linear(settings.width, tokens)

    def encode(self, inputs: Inputs, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One vector a frame (B, T, D) and the number of frames of each clip (B), which are those that came in.

        `inputs` is video (B, T, H, W), audio (B, 640 T) or (video, audio); `lengths` counts frames for all of them.
        """
        if self.modality != "av":
            assert isinstance(inputs, Tensor)
            inputs = self._shown(inputs, lengths) if self.modality == "video" else inputs
            return self.encoders[self.modality](inputs, lengths), lengths
        video, audio = inputs
        video = self._shown(video, lengths)
        return self.fusion(self.encoders["video"](video, lengths), self.encoders["audio"](audio, lengths)), lengths

    def _shown(self, video: Tensor, lengths: Tensor) -> Tensor:
        video = normalised(video, lengths)
        return centred(video, lengths) if self.settings.centre else video

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Log-probabilities of every token in every frame, in float32: B, T, V."""
        return F.log_softmax(self.ctc(memory), dim=-1, dtype=torch.float32)

    @torch.no_grad()
    def start(self, memory: Tensor, lengths: Tensor) -> DecoderState:
        """The state of a search before its first token, `sos`: one hypothesis an utterance."""
        return self.decoder.start(memory, lengths)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log-probabilities of what follows `tokens`, the newest one of every hypothesis: B, W to B, W, V."""
        logits, state = self.decoder.step(tokens, state)
        return F.log_softmax(logits, dim=-1, dtype=torch.float32), state

    def answers(self, memory: Tensor, lengths: Tensor, tokens: Tensor, attention: bool = True) -> Answers:
        """What both heads say of the frames in `memory`; the decoder is shown the transcripts, `tokens`."""
        ctc = self.ctc(F.dropout(memory, self.settings.ctc_dropout, self.training))
        if not attention:
            return Answers(ctc, lengths)
        before, after = framed(tokens, self.sos, self.eos)
        return Answers(ctc, lengths, self.decoder(before, memory, lengths), after)

    def loss(self, batch: Batch, settings: LossSettings) -> Losses:
        """The joint loss of a batch, with both of its parts."""
        answers = self.answers(*self.encode(batch.inputs, batch.lengths), batch.tokens, settings.ctc < 1)
        return joint_loss(answers, batch.tokens, settings, batch.weights)


def normalised(video: Tensor, lengths: Tensor) -> Tensor:
    """Grey levels (uint8 B, T, H, W) in the units of published networks, 0 behind a clip's end; floats are in them.

    Done here, and not where batches are made, because bytes are a quarter of what has to be moved.
    """
    if video.dtype != torch.uint8:
        return video
    levels = video.float().mul_(1 / (255 * DEVIATION)).sub_(MEAN / DEVIATION)
    return levels.mul_(length_mask(lengths, video.shape[1])[:, :, None, None])


def centred(video: Tensor, lengths: Tensor) -> Tensor:
    """Floats (B, T, H, W) without the mean picture of each clip, the rest stretched; 0 behind a clip's end.

    Of the variance of grey levels on the synthetic corpus 41.5 % is common to all clips, 51.9 % differs between clips,
    and 6.6 % varies within one, which is all that speech is (`make bench ONLY=input_variance`). A clip that does not
    move becomes 0.
    """
    keep = length_mask(lengths, video.shape[1])[:, :, None, None]
    mean = (video * keep).sum(1, keepdim=True, dtype=torch.float32) / lengths[:, None, None, None]
    return (video - mean.to(video.dtype)).mul_(STRETCH).mul_(keep)


def framed(tokens: Tensor, sos: int, eos: int) -> tuple[Tensor, Tensor]:
    """What the decoder reads (sos before the transcript) and what it should answer (eos after it): 2 x (B, U+1)."""
    before = F.pad(tokens, (1, 0), value=sos)
    before = before.masked_fill(before == PADDING, eos)  # nothing that counts sees these: attention looks back only
    after = F.pad(tokens, (0, 1), value=PADDING)
    ends = (tokens != PADDING).sum(1, keepdim=True)
    return before, after.scatter(1, ends, eos)
