"""The enhancer: noisy sound, and lips, become the clean sound of who is seen to speak, 40 ms at a time.

RT-LA-VocE (arXiv 2407.07825): a visual stem over past frames, a waveform front-end of four vectors a frame, an Emformer
without right context (torchaudio's).

pictures ─► running mean ─► stem, front-end ──(each four times)──┐
sound ────► front-end of 10 ms steps ────────────────────────────┴─► Emformer ─► head ─► sound

The head is a gain for each frequency, or log-mels and a vocoder (`nn.vocoder`).

    clean = enhancer(video, sound, lengths)            # whole clips
    piece, state = enhancer.step(video, sound, state)  # any number of frames, then the next
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .causal import HOP, TOKENS, CausalAudioFrontend, CausalVideoFrontend, Pasts, RunningMean
from .frontend import SAMPLES_PER_FRAME
from .inputs import STRETCH, normalised
from .layers import length_mask
from .settings import NetworkSettings, Reads
from .vocoder import VocoderHead

WINDOW = 2 * HOP  # of the spectra that gains act on: the shortest that overlap by half, so that least has to be awaited
BINS = WINDOW // 2 + 1  # frequencies of a spectrum
READS_NOTHING = (  # behind its name
    "is an enhancer, which makes sound and reads nothing: `avsr-bench enhance VIDEO --model RUN --out clean.wav`"
    " uses it"
)
WHOLE_CLIP = 10**6  # tokens: a segment that no clip fills


@dataclass(frozen=True, slots=True)
class EnhancerState:
    """All that an enhancer keeps of a stream, of one size whatever was seen of it."""

    pasts: tuple[Tensor, ...]
    context: list[list[Tensor]]  # keys and values of each layer of the Emformer


class Enhancer(nn.Module):
    """From noisy sound, and mouths where its modality is `av`, to clean sound.

    Sound is in floats of which 1 is full scale: a level over the whole clip is known only at its end.
    """

    tokens = 0  # it writes no text

    def __init__(self, modality: Reads, settings: NetworkSettings) -> None:
        super().__init__()
        own = settings.enhancer
        assert own is not None and modality in ("audio", "av")
        self.settings, self.modality = settings, modality
        self.ear = CausalAudioFrontend(settings.audio)
        entering = self.ear.width
        if modality == "av":
            self.still = RunningMean(own.still)
            self.eye = CausalVideoFrontend(settings)
            entering += self.eye.width
        self.enter = nn.Linear(entering, settings.width)
        from torchaudio.models import Emformer  # takes a second that no recogniser should wait for

        self.context = Emformer(
            settings.width,
            settings.heads,
            settings.feed_forward,
            settings.encoder_blocks,
            segment_length=TOKENS if own.causal else WHOLE_CLIP,
            dropout=settings.dropout,
            activation="gelu",
            left_context_length=own.left if own.causal else 0,
            weight_init_scale_strategy=None,
        )
        # Ours: a way past the Emformer, and its weights not drawn smaller. After 200 updates sound alone is 4.2 dB (the
        # first) and 5.0 (the second) nearer to speech in pink noise at -5 dB; without both 2.7 (one run each).
        self.norm = nn.LayerNorm(settings.width)
        self.head = MaskHead(settings.width) if own.head == "mask" else VocoderHead(settings.width, own.vocoder)

    @property
    def delay(self) -> int:
        """How many samples what `step` gives lies behind what it was given."""
        return self.head.delay

    def forward(self, video: Tensor | None, sound: Tensor, lengths: Tensor) -> Tensor:
        """Clean sound of whole clips: B, T, H, W and B, 640 T to B, 640 T. Frames behind a clip's end mean nothing."""
        # The last samples come out with a frame after the end.
        sound = F.pad(sound, (0, SAMPLES_PER_FRAME))
        video = None if video is None else F.pad(video, (0, 0, 0, 0, 0, 1))
        pasts = Pasts()
        clean = self.head(self._tokens(video, sound, lengths, pasts, behind=1), sound, pasts)
        return clean[:, self.delay : self.delay + sound.shape[1] - SAMPLES_PER_FRAME]

    def mels(self, video: Tensor | None, sound: Tensor, lengths: Tensor) -> Tensor:
        """What the vocoder is given of whole clips: B, 4 T, 80."""
        assert isinstance(self.head, VocoderHead)
        pasts = Pasts()
        return self.head.mels(self._tokens(video, sound, lengths, pasts), sound, pasts)

    def step(
        self, video: Tensor | None, sound: Tensor, state: EnhancerState | None = None
    ) -> tuple[Tensor, EnhancerState]:
        """The next frames of a stream, as many as there are: clean sound that lies `delay` samples back.

        At the beginning the state is none; what then comes out first lies before the stream.
        """
        assert self.settings.enhancer is not None
        if not self.settings.enhancer.causal:
            raise ValueError("this enhancer sees whole clips, and no stream has them")
        frames = sound.shape[1] // SAMPLES_PER_FRAME
        return self._advance(video, sound, torch.full((len(sound),), frames, device=sound.device), state)

    def finish(self, state: EnhancerState) -> Tensor:
        """The last `delay` samples of a stream that has ended."""
        like = state.context[0][0]
        clips = like.shape[1]
        side = self.settings.mouth
        video = like.new_zeros(clips, 1, side, side) if self.modality == "av" else None
        nothing = torch.zeros(clips, dtype=torch.long, device=like.device)
        clean, _ = self._advance(video, like.new_zeros(clips, SAMPLES_PER_FRAME), nothing, state)
        return clean[:, : self.delay]

    @torch.inference_mode()
    def _advance(
        self, video: Tensor | None, sound: Tensor, lengths: Tensor, state: EnhancerState | None
    ) -> tuple[Tensor, EnhancerState]:
        pasts = Pasts(state.pasts if state else ())
        entered = self._enter(video, sound, lengths, pasts)
        kept = state.context if state else None
        of_segment = torch.full_like(lengths, TOKENS)
        contexts = []
        for segment in entered.split(TOKENS, dim=1):
            context, _, kept = self.context.infer(segment, of_segment, kept)
            contexts.append(context)
        assert kept is not None
        return self.head(self.norm(entered + torch.cat(contexts, dim=1)), sound, pasts), EnhancerState(pasts.kept, kept)

    def _tokens(self, video: Tensor | None, sound: Tensor, lengths: Tensor, pasts: Pasts, behind: int = 0) -> Tensor:
        """What the head is given of whole clips, and of so many frames behind their ends: B, 4 T, D."""
        entered = self._enter(video, sound, lengths, pasts)
        context, _ = self.context(entered, (lengths + behind) * TOKENS)
        tokens: Tensor = self.norm(entered + context)
        return tokens

    def _enter(self, video: Tensor | None, sound: Tensor, lengths: Tensor, pasts: Pasts) -> Tensor:
        """What the Emformer sees: B, 4 T, D."""
        vectors = [self.ear(sound, pasts)]
        if self.modality == "av":
            assert video is not None
            frames = normalised(video, lengths)
            if self.settings.centre:
                keep = length_mask(lengths, video.shape[1])[:, :, None, None]
                frames = self.still(frames, pasts) * keep * STRETCH
            vectors.append(self.eye(frames, pasts).repeat_interleave(TOKENS, dim=1))
        entered: Tensor = self.enter(torch.cat(vectors, dim=-1))
        return entered


class MaskHead(nn.Module):
    """A gain for each frequency of each 10 ms: what is left of the noisy sound keeps its phase."""

    window: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gains = nn.Linear(width, BINS)
        # Its square over two windows that overlap by half is 1 everywhere.
        self.register_buffer("window", torch.hann_window(WINDOW).sqrt(), persistent=False)

    @property
    def delay(self) -> int:
        """A sample is whole when the second window that has it is there."""
        return WINDOW - HOP

    def forward(self, context: Tensor, sound: Tensor, pasts: Pasts) -> Tensor:
        """Tokens (B, 4 T, D) and the samples that they are of (B, 640 T) to as many samples, `delay` earlier."""
        spectra = torch.fft.rfft(pasts.extend(sound, WINDOW - HOP).unfold(1, WINDOW, HOP) * self.window)
        heard = torch.fft.irfft(spectra * self.gains(context).sigmoid(), n=WINDOW) * self.window  # B, 4 T, WINDOW
        first, second = heard[..., :HOP], heard[..., HOP:]
        before = pasts.extend(second, 1, dim=1)[:, :-1]
        return (before + first).flatten(1)
