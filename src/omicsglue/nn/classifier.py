"""What the classifier of known cell types says of embedded cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from omicsglue.errors import OptionError
from omicsglue.nn.network import Network


def label_probabilities(
    network: Network, means: npt.NDArray[np.float32], cells: pd.Index[Any], labels: Sequence[str]
) -> pd.DataFrame:
    """Return the probability of each cell type for embedded cells.

    Parameters
    ----------
    network
        A trained network.
    means
        Means of the cells' embeddings, shape ``(n, D)``.
    cells
        Their names.
    labels
        Names of the cell types, in the order of their codes.

    Returns
    -------
    float32, cells x types; rows add up to 1.

    Raises
    ------
    OptionError
        If the network was trained without labels.
    """
    if network.classifier is None:
        raise OptionError(
            "the model was trained without labels, so it has no cell types to predict",
            where="predict_labels",
            remedy="name a column of known cell types with labels_key= (--label-key) and train again",
        )
    device = network.classifier.weight.device
    with torch.no_grad():
        logits = network.classifier(torch.from_numpy(means).to(device))
        probabilities = torch.softmax(logits, dim=1).cpu().numpy()
    return pd.DataFrame(probabilities, index=cells, columns=list(labels))
