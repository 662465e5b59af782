"""The recogniser of one modality, or of both: encoders, fusion, CTC head and decoder, as the papers trained it."""

from __future__ import annotations

from torch import Tensor, nn

from .decoder import Decoder
from .encoder import Encoder
from .fusion import Fusion
from .inputs import Inputs, shown
from .recogniser import Recogniser
from .settings import Modality, NetworkSettings
from .size import check_size


class AVSR(Recogniser):
    """Reads lips, hears, or both.

    >>> import torch
    >>> from avsr_bench.nn import NetworkSettings
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
            inputs = shown(inputs, lengths, self.settings.centre) if self.modality == "video" else inputs
            return self.encoders[self.modality](inputs, lengths), lengths
        video, audio = inputs
        video = shown(video, lengths, self.settings.centre)
        return self.fusion(self.encoders["video"](video, lengths), self.encoders["audio"](audio, lengths)), lengths
