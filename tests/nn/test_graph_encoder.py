"""The graph encoder's product against dense algebra."""

from __future__ import annotations

import numpy as np
import torch

from omicsglue.nn.graph_encoder import GraphEncoder, adjacency, edge_logits

SOURCE, TARGET = np.array([0, 0, 1]), np.array([2, 3, 3])
WEIGHT, SIGN = np.array([1.0, 0.5, 0.25], dtype=np.float32), np.array([1, -1, 1], dtype=np.int8)


def dense() -> tuple[np.ndarray, np.ndarray]:
    matrix, degree = np.eye(5), np.ones(5)
    for i, j, w, s in zip(SOURCE, TARGET, WEIGHT, SIGN, strict=True):
        matrix[i, j] = matrix[j, i] = w * s
        degree[i] += w
        degree[j] += w
    return matrix, degree


def test_adjacency_is_symmetric_signed_and_has_self_loops() -> None:
    matrix, degree = adjacency(SOURCE, TARGET, WEIGHT, SIGN, 5)
    expected, degrees = dense()
    np.testing.assert_allclose(matrix.toarray(), expected)
    np.testing.assert_allclose(degree, degrees)


def test_one_propagation_divides_by_the_root_of_the_degree_and_backpropagates() -> None:
    encoder = GraphEncoder(*adjacency(SOURCE, TARGET, WEIGHT, SIGN, 5), dim=3)
    with torch.no_grad():
        encoder.table.normal_(generator=torch.Generator().manual_seed(0))
        encoder.head.loc.weight.copy_(torch.eye(3))
        encoder.head.loc.bias.zero_()
    expected, degrees = dense()
    product = torch.from_numpy(expected / np.sqrt(degrees)[:, None]).float()
    found = encoder().mean
    torch.testing.assert_close(found, product @ encoder.table)
    upstream = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    found.backward(upstream)
    torch.testing.assert_close(encoder.table.grad, product.T @ upstream)


def test_edge_logits_turn_with_the_sign() -> None:
    v = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    ends = torch.tensor([0]), torch.tensor([1])
    assert edge_logits(v, *ends, torch.tensor([1.0])).item() == 1.0
    assert edge_logits(v, *ends, torch.tensor([-1.0])).item() == -1.0


def test_gradients_of_edges_are_the_same_bits_with_several_threads() -> None:
    random = torch.Generator().manual_seed(0)
    v = torch.randn(500, 50, generator=random).requires_grad_()
    source, target = (torch.randint(0, 500, (20_000,), generator=random) for _ in range(2))
    before, found = torch.get_num_threads(), []
    torch.set_num_threads(4)
    try:
        for _ in range(5):
            v.grad = None
            edge_logits(v, source, target, torch.ones(20_000)).sigmoid().sum().backward()
            found.append(v.grad.clone())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each, found[0]) for each in found)
