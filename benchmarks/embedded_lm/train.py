"""Train one of the embedded language models.

    python train.py --model weak --output WEAK
    python train.py --model strong --start WEAK --output STRONG

The strong one is the weak one with two more layers, trained on with fresh lines. Only
the answers are learnt (the characters of a query are random). One thread, seeded; a
checkpoint beside the output every 500 steps, from which a second call goes on.
"""

import argparse
import math
import os
import random
import time
from pathlib import Path

import torch
from tasks import training_lines
from tokenizer import BOS, EOS, PAD, VOCABULARY, make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

MODELS = {
    "weak": {"n_layers": 4, "n_steps": 3_300, "seed": 0},
    "strong": {"n_layers": 6, "n_steps": 5_000, "seed": 1},
}
OLD_LAYERS = [0, 1, 3, 4]  # where the weak model's layers stand in the strong one
BATCH_SIZE = 256
BATCHES_PER_BLOCK = 16
LEARNING_RATE = 2e-3
WARMUP_STEPS = 300
CHECKPOINT_EVERY = 500


def make_model(n_layers):
    """Initialise a Llama 128 wide with four heads."""
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        attn_implementation="eager",  # with bfloat16, twice as fast as sdpa here
    )
    return LlamaForCausalLM(config)


def grow(model, start):
    """Copy a smaller model into a deeper one, which then computes the same function.

    The layers between the old ones add nothing to their input at first.
    """
    model.model.embed_tokens.load_state_dict(start.model.embed_tokens.state_dict())
    model.model.norm.load_state_dict(start.model.norm.state_dict())
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    for i, layer in zip(OLD_LAYERS, start.model.layers, strict=True):
        model.model.layers[i].load_state_dict(layer.state_dict())


def encode(lines):
    """Right-padded tokens (n_lines, length), and labels: the answer and ``<eos>``."""
    length = max(map(len, lines)) + 2
    tokens = torch.full((len(lines), length), PAD)
    labels = torch.full((len(lines), length), -100)
    for i, line in enumerate(lines):
        row = [BOS, *(VOCABULARY[character] for character in line), EOS]
        start = line.index("=") + 2
        tokens[i, : len(row)] = torch.tensor(row)
        labels[i, start : len(row)] = tokens[i, start : len(row)]
    return tokens, labels


def block_batches(seed, block):
    """Make the batches of a block: lines of similar length together, shuffled."""
    lines = training_lines(seed, block, BATCH_SIZE * BATCHES_PER_BLOCK)
    lines.sort(key=len)
    batches = [lines[i : i + BATCH_SIZE] for i in range(0, len(lines), BATCH_SIZE)]
    random.Random(f"{seed}/{block}/order").shuffle(batches)
    return [encode(batch) for batch in batches]


def learning_rate(step, n_steps):
    """Linear warm-up, then a cosine down to a hundredth."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / n_steps))
    return LEARNING_RATE * min(1, (step + 1) / WARMUP_STEPS) * (0.01 + 0.99 * cosine)


def answer_loss(model, tokens, labels):
    """Cross-entropy of the next token, over the tokens of the answers."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=tokens, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten()
    )


def train_step(model, loss_function, optimizer, tokens, labels, rate):
    """One AdamW step on one batch; returns the loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = loss_function(model, tokens, labels)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def save_checkpoint(path, **state):
    """Write the checkpoint whole or not at all."""
    torch.save(state, path.with_suffix(".partial"))
    os.replace(path.with_suffix(".partial"), path)


def train(model, n_steps, seed, checkpoint):
    """Train in place, from the checkpoint if there is one."""
    optimizer = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.98), weight_decay=0.05, fused=True
    )
    loss_function = torch.compile(answer_loss, dynamic=True)  # doubles the speed
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    started, losses = time.process_time(), []
    for step in range(first, n_steps):
        if step % BATCHES_PER_BLOCK == 0 or step == first:
            batches = block_batches(seed, step // BATCHES_PER_BLOCK)
        tokens, labels = batches[step % BATCHES_PER_BLOCK]
        rate = learning_rate(step, n_steps)
        loss = train_step(model, loss_function, optimizer, tokens, labels, rate)
        losses.append(loss)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == n_steps:
            minutes = (time.process_time() - started) / 60
            loss = sum(losses) / len(losses)
            print(f"step {step + 1} loss {loss:.4f} {minutes:.1f} CPU min", flush=True)
            losses = []
            save_checkpoint(
                checkpoint,
                step=step + 1,
                model=model.state_dict(),
                optimizer=optimizer.state_dict(),
            )


def save(model, folder):
    """Model in float16 and tokenizer, as transformers loads them, readable by all."""
    model.config._attn_implementation = None
    model.to(torch.float16).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(MODELS), required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a model to grow")
    parser.add_argument("--n-steps", type=int, help="for a quick trial")
    arguments = parser.parse_args()
    settings = MODELS[arguments.model]
    torch.set_num_threads(1)
    torch.manual_seed(settings["seed"])
    model = make_model(settings["n_layers"])
    if arguments.start:
        small = LlamaForCausalLM.from_pretrained(arguments.start, dtype=torch.float32)
        grow(model, small)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.output.with_suffix(".checkpoint.pt")
    train(model, arguments.n_steps or settings["n_steps"], settings["seed"], checkpoint)
    save(model, arguments.output)


if __name__ == "__main__":
    main()
