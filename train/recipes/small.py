"""The small reproduction: a new BERT and its DistilBERT, on one GPU, in half an hour.

    python -m train.pretrain small --data.corpus books wikitext-2/wiki.train.tokens.gz
    python -m train.distill small --data.corpus books wikitext-2/wiki.train.tokens.gz
    python -m train.ablate paper-table-4-small --data.corpus books wikitext-2/wiki.train.tokens.gz
    python -m train.finetune sst2 --model runs/distill-small/model --data.root glue
    python -m train.finetune rte --model runs/distill-small/model --data.root glue

Each reads from `runs` what the one before wrote, and writes its numbers to `results.json`. `books`
is a folder of texts, unpacked; 266 of them and WikiText-2 have about 32 M tokens.

The number of updates in nine minutes is computed, not measured. Of 540 seconds 420 are for updates
(the rest is for preparing the text, compiling and evaluation), at 40 % of an H100's 989 TFLOP/s in
bfloat16, counting the matrix products of an update. Not run here.
"""

from dataclasses import replace
from pathlib import Path

from data.config import DataConfig
from model.config import EncoderConfig
from train.config import DistillConfig, PretrainConfig, RunConfig, StudentConfig
from train.update.optimizer import OptimizerConfig

DATA = DataConfig(tokenizer="google-bert/bert-base-uncased", corpus=("books", "wikitext-2"))
RUN = RunConfig(checkpoint_every=2500, print_every=500)


def pretrain_small() -> PretrainConfig:
    """A BERT of 12 layers, 512 wide, on books and WikiText-2: nine minutes on one H100.

        python -m train.pretrain small --data.corpus books wikitext-2/wiki.train.tokens.gz

    256 sequences of 128 tokens an update, of 8.2 TFLOP: 20,000 updates at 396 TFLOP/s are 415
    seconds, 0.66 B tokens, some 20 passes. Dropout 0.1, but none in attention, so that a GPU can
    use cuDNN's. Learning rate 5e-4 as ELECTRA-small, the nearest in size (Clark et al. 2020, table
    6). Without network give --data.tokenizer vocab.txt, that of bert-base-uncased. Not run here.
    """
    return PretrainConfig(
        output=Path("runs/pretrain-small"),
        model=EncoderConfig(
            hidden_size=512,
            num_heads=8,
            intermediate_size=2048,
            max_positions=128,
            attention_dropout=0.0,
        ),
        data=DATA,
        optimizer=OptimizerConfig(
            learning_rate=5e-4, warmup_share=0.1, weight_decay=0.01, clip_norm=1.0
        ),
        batch_size=256,
        steps=20_000,
        evaluate_every=2500,
        run=RUN,
    )


def distill_small() -> DistillConfig:
    """The model of `train.pretrain small` distilled into six layers: nine minutes on one H100.

        python -m train.distill small --data.corpus books wikitext-2/wiki.train.tokens.gz

    The triple loss of `distilbert-base-uncased`; the student also starts with the teacher's head.
    256 sequences of 128 tokens an update, of 10.6 TFLOP: 15,000 updates at 396 TFLOP/s are 402
    seconds. Not run here.
    """
    return DistillConfig(
        output=Path("runs/distill-small"),
        teacher="runs/pretrain-small/model",
        data=replace(DATA, tokenizer=None),
        student=StudentConfig(copy_head=True),
        optimizer=OptimizerConfig(),
        batch_size=256,
        steps=15_000,
        evaluate_every=2500,
        run=RUN,
    )


def study_small() -> DistillConfig:
    """The base of `paper-table-4-small`: smaller batches, for five students and five seeds."""
    return replace(
        distill_small(),
        output=Path("runs/paper-table-4-small"),
        batch_size=64,
        steps=3400,
        evaluate_every=1700,
        run=replace(RUN, checkpoint_every=1700),
    )
