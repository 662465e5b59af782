"""A corpus that a bare machine makes for itself: a photograph that speaks, with every truth about it known.

The speech is espeak-ng's (GPL-3; an optional extra that is loaded at run time and no part of this package). The face is
NASA's portrait of the astronaut Eileen Collins, in the public domain, which scikit-image carries. Both come with
`pip install 'avsr-bench[synth]'`; nothing is fetched at run time.

    settings = SynthSettings()
    write_manifest(settings, folder)
    for utterance in missing(settings, folder):
        render(utterance, folder, settings)

`render` may run in any process and in any order: the same settings and name give the same bytes. What is drawn:
`settings` says who speaks what, `speech` speaks it and times its phonemes, `visemes` turns those into movements of the
mouth, `mouth` into movements of the face, `speaker` makes other people of the one in `portrait`, `scene` draws
frames, `clip` writes them and `folder` keeps account of them.
"""

from .clip import render
from .folder import missing, write_manifest
from .settings import SynthSettings, Utterance, utterances

__all__ = ["SynthSettings", "Utterance", "missing", "render", "utterances", "write_manifest"]
