"""Published checkpoints as priors of ours: one file a family, `checkpoint.py` for files of any."""

from .checkpoint import import_checkpoint as import_checkpoint
from .checkpoint import read_checkpoint as read_checkpoint
