"""The network: likelihoods, encoders, decoders, graph encoder and discriminator, as plain torch modules."""
