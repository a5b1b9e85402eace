"""End of an answer: end tokens, stop strings and the text before them."""

from sklearn_adaalloc.sampling._requests import cut_before


class Ending:
    """End tokens and stop strings of answers.

    Parameters
    ----------
    language_model : LanguageModel
        Its generation config, or else its tokenizer, defines the end tokens.
    stop : list of str
        An answer ends before the first of them.
    """

    def __init__(self, language_model, stop):
        generation = getattr(language_model.model, "generation_config", None)
        end = getattr(generation, "eos_token_id", None)
        if end is None:
            end = language_model.tokenizer.eos_token_id
        ends = end if isinstance(end, (list, tuple)) else [end]
        self.end_tokens = frozenset(token for token in ends if token is not None)
        self.tokenizer = language_model.tokenizer
        self.stop = stop
        # A token may be a single byte of a character with four bytes. One token more,
        # because a tokenizer may drop white space at the beginning.
        self.tail = 4 * max(map(len, stop), default=0) + 1

    def reached(self, tokens):
        """Whether the last token ends an answer that had not ended before."""
        if tokens[-1] in self.end_tokens:
            return True
        if not self.stop:
            return False
        return self._stops(tokens[-self.tail :]) and self._stops(tokens)

    def text(self, tokens):
        """Text of an answer's tokens, cut before the first stop string."""
        return cut_before(self._decode(tokens), self.stop)

    def _stops(self, tokens):
        text = self._decode(tokens)
        return any(stop in text for stop in self.stop)

    def _decode(self, tokens):
        return self.tokenizer.decode(tokens, skip_special_tokens=True)
