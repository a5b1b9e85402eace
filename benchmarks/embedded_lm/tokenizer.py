"""The character tokenizer of the embedded language models."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>", "<unk>"]
PAD, BOS, EOS, UNKNOWN = range(4)
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz+-*/%()= "
VOCABULARY = {token: i for i, token in enumerate([*SPECIAL_TOKENS, *CHARACTERS])}
# Chat messages are answered like plain text: their contents, one after the other. After
# an answer the text ends, as a pair does.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    "{% if messages[-1]['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
)


def make_tokenizer():
    """One token per character; ``<bos>`` first; a pair also ends with ``<eos>``."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A",
        pair="<bos> $A $B <eos>",
        special_tokens=[("<bos>", BOS), ("<eos>", EOS)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=128,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
        model_input_names=["input_ids", "attention_mask"],
    )
