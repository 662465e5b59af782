"""Text: the versioned rule of what counts in a transcript, and tokenizers that a network learns by."""

from .learn import TokenizerSettings, learn_tokenizer, make_tokenizer
from .rule import TEXT_VERSION, Case, plain, spell
from .tokenizer import BLANK, MAX_UNKNOWN, Tokenizer, check_coverage, import_tokenizer, load_tokenizer, tokenizer_of

__all__ = [
    "BLANK",
    "MAX_UNKNOWN",
    "TEXT_VERSION",
    "Case",
    "Tokenizer",
    "TokenizerSettings",
    "check_coverage",
    "import_tokenizer",
    "learn_tokenizer",
    "load_tokenizer",
    "make_tokenizer",
    "plain",
    "spell",
    "tokenizer_of",
]
