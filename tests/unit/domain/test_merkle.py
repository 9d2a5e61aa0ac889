"""The tree: compared with the definition of RFC 9162, and with heads known from Certificate Transparency."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.docs import verify_proof
from domain.proof.merkle import (
    EMPTY,
    Growing,
    Node,
    combined,
    consistency,
    inclusion,
    leaf_hash,
    node_hash,
    nodes_of,
)

VECTORS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
HEADS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The heads after each of the vectors, as Certificate Transparency's tests have them."""


def defined(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, as it is written."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return node_hash(defined(leaves[:middle]), defined(leaves[middle:]))


def looked_up(leaves: list[bytes], nodes: list[Node]) -> bytes:
    return combined([defined(leaves[node.index << node.level : (node.index + 1) << node.level]) for node in nodes])


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(str(n).encode()) for n in range(count)]


def test_known_heads() -> None:
    growing = Growing()
    assert growing.root == EMPTY
    for vector, head in zip(VECTORS, HEADS, strict=True):
        growing.add([leaf_hash(vector)])
        assert growing.root.hex() == head


@given(st.integers(0, 300))
def test_a_root_is_what_the_definition_says(size: int) -> None:
    leaves = leaves_of(size)
    growing = Growing()
    growing.add(leaves)
    assert growing.root == defined(leaves)
    assert looked_up(leaves, nodes_of(0, size)) == defined(leaves)


@given(st.data())
def test_every_audit_path_leads_to_the_root_and_no_other_leaf_does(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    path = [looked_up(leaves, nodes) for nodes in inclusion(index, size)]
    verify_proof.check_inclusion(leaves[index], index, size, path, defined(leaves))
    wrong = [
        (leaf_hash(b"x"), index, size, path),
        (leaves[index], index, size, [*path, path[0] if path else EMPTY]),
        *[(leaves[index], index, size, path[:at] + path[at + 1 :]) for at in range(len(path))],
        *[(leaves[index], other, size, path) for other in range(size) if other != index],
    ]
    for leaf, place, of, along in wrong:
        with pytest.raises(verify_proof.NotProven):
            verify_proof.check_inclusion(leaf, place, of, along, defined(leaves))


@given(st.data())
def test_a_tree_is_proven_to_begin_with_a_smaller_one_and_with_no_other(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 130))
    old = data.draw(st.integers(1, new))
    leaves = leaves_of(new)
    path = [looked_up(leaves, nodes) for nodes in consistency(old, new)]
    verify_proof.check_consistency(old, defined(leaves[:old]), new, defined(leaves), path)
    changed = [leaf_hash(b"x"), *leaves[1:]]
    with pytest.raises(verify_proof.NotProven):
        verify_proof.check_consistency(old, defined(changed[:old]), new, defined(leaves), path)
