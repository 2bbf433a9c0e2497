//! The append-only Merkle tree of RFC 9162, section 2.1.
//!
//! [`Frontier`] stores only the roots of the complete subtrees, at most 64 hashes, so a ledger of
//! any length can be signed and verified line by line.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// Hashes a leaf: SHA-256 over a zero byte and the leaf.
fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

/// Hashes a node: SHA-256 over a one byte and both children.
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The right edge of a growing tree: its size and the roots of its complete subtrees.
///
/// ```
/// use oh_ledger::Frontier;
///
/// let mut tree = Frontier::new();
/// for line in ["one", "two", "three"] {
///     tree.push(line.as_bytes());
/// }
/// assert_eq!((tree.size(), tree.nodes().len()), (3, 2));
/// let restored = Frontier::from_parts(tree.size(), tree.nodes().to_vec()).expect("valid parts");
/// assert_eq!(restored.root(), tree.root());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// Creates an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Restores a tree from its size and nodes. Returns `None` if their numbers do not match.
    pub fn from_parts(size: u64, nodes: Vec<[u8; 32]>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut hash = leaf_hash(leaf);
        let mut height = self.size;
        while height & 1 == 1 {
            let Some(left) = self.nodes.pop() else { break };
            hash = node_hash(&left, &hash);
            height >>= 1;
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the roots of the complete subtrees, the largest first.
    pub fn nodes(&self) -> &[[u8; 32]] {
        &self.nodes
    }

    /// Returns the root hash. For an empty tree this is the hash of the empty string.
    pub fn root(&self) -> [u8; 32] {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else {
            return Sha256::digest([]).into();
        };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Builds the inclusion paths of selected leaves while the tree grows.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    size: u64,
    // Roots of complete subtrees, each with the indices of the paths that pass through it.
    nodes: Vec<(Hash, Vec<usize>)>,
    paths: Vec<Path>,
}

/// The inclusion path of one leaf: its index, and the siblings from the bottom up.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) index: u64,
    pub(crate) siblings: Vec<Hash>,
}

impl Paths {
    /// Appends a leaf, and starts its path if `selected`.
    pub(crate) fn push(&mut self, leaf: &[u8], selected: bool) {
        let mut below = Vec::new();
        if selected {
            below.push(self.paths.len());
            self.paths.push(Path {
                index: self.size,
                siblings: Vec::new(),
            });
        }
        let mut node = (leaf_hash(leaf), below);
        let mut height = self.size;
        while height & 1 == 1 {
            let Some(left) = self.nodes.pop() else { break };
            node = self.join(left, node);
            height >>= 1;
        }
        self.nodes.push(node);
        self.size += 1;
    }

    fn join(&mut self, left: (Hash, Vec<usize>), right: (Hash, Vec<usize>)) -> (Hash, Vec<usize>) {
        for path in &left.1 {
            self.paths[*path].siblings.push(right.0);
        }
        for path in &right.1 {
            self.paths[*path].siblings.push(left.0);
        }
        let below = [left.1, right.1].concat();
        (node_hash(&left.0, &right.0), below)
    }

    /// Returns the paths in the current tree.
    pub(crate) fn finish(mut self) -> Vec<Path> {
        while let (Some(right), Some(left)) = (self.nodes.pop(), self.nodes.pop()) {
            let joined = self.join(left, right);
            self.nodes.push(joined);
        }
        self.paths
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::HashableLeaf;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use sha2::digest::Update;

    use super::*;

    struct Leaf(String);

    impl HashableLeaf for Leaf {
        fn hash<H: Update>(&self, hasher: &mut H) {
            hasher.update(self.0.as_bytes());
        }
    }

    #[test]
    fn tree_matches_roots_and_paths_of_ct_merkle() {
        for size in 0..130_u64 {
            let mut other = MemoryBackedTree::<Sha256, Leaf>::new();
            let mut tree = Frontier::new();
            let mut paths = Paths::default();
            for number in 0..size {
                let leaf = format!("line {number}");
                tree.push(leaf.as_bytes());
                paths.push(leaf.as_bytes(), number % 3 != 1);
                other.push(Leaf(leaf));
            }
            assert_eq!(
                tree.root(),
                <[u8; 32]>::from(*other.root().as_bytes()),
                "{size}"
            );
            for path in paths.finish() {
                let index = usize::try_from(path.index).unwrap();
                let expected = other.prove_inclusion(index);
                assert_eq!(
                    path.siblings.concat(),
                    expected.as_bytes(),
                    "{index} of {size}"
                );
            }
        }
    }

    #[test]
    fn frontier_restored_from_parts_grows_like_the_original() {
        let mut original = Frontier::new();
        for number in 0..1_000_u32 {
            let parts = (original.size(), original.nodes().to_vec());
            let mut restored = Frontier::from_parts(parts.0, parts.1).unwrap();
            original.push(&number.to_be_bytes());
            restored.push(&number.to_be_bytes());
            assert_eq!(restored, original);
        }
        assert!(Frontier::from_parts(3, vec![[0; 32]]).is_none());
    }
}
