"""From AnnData to minibatches: setup records, resolved modalities, and the loader."""
