"""Trains the small pair; a script for torchrun, which starts it in several processes."""

from __future__ import annotations

import sys

import numpy as np

from omicsglue import GLUE
from omicsglue.training.progress import Silent
from small import quick_recipe, small_graph, small_modalities

if __name__ == "__main__":
    modalities = small_modalities()
    model = GLUE(modalities, small_graph(modalities), quick_recipe(int(sys.argv[1])))
    model.train(device="cpu", threads=1, reporter=Silent())
    np.save(sys.argv[2], model.get_latent_representation("rna"))
    print("trained")
