//! The Merkle tree of RFC 9162, section 2.1, over leaves that come one after the other.
//!
//! [`Frontier`] keeps what is needed to go on: the roots of the whole subtrees so far, at most 64
//! of them. So a ledger of any length is sealed, and checked, a line at a time.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 of a zero byte and the leaf.
pub(crate) fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

/// The hash of a node: SHA-256 of a byte of one and both children.
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A tree that can grow: its size, and the roots of its whole subtrees from the largest on.
///
/// ```
/// use oh_ledger::Frontier;
///
/// let mut tree = Frontier::new();
/// for line in ["one", "two", "three"] {
///     tree.push(line.as_bytes());
/// }
/// assert_eq!((tree.size(), tree.nodes().len()), (3, 2));
/// let again = Frontier::from_parts(tree.size(), tree.nodes().to_vec()).expect("they fit");
/// assert_eq!(again.root(), tree.root());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree to go on with. `None` if there are not as many subtrees as a tree of that size has.
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Adds a leaf.
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

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the whole subtrees, from the largest on.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// The root of the tree: of none, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else {
            return Sha256::digest([]).into();
        };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Collects the paths from some leaves to the root, while the tree grows.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    size: u64,
    // Roots of whole subtrees, each with the wanted leaves below it.
    nodes: Vec<(Hash, Vec<usize>)>,
    paths: Vec<Path>,
}

/// The path of one leaf: its place, and the siblings on the way up.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) index: u64,
    pub(crate) siblings: Vec<Hash>,
}

impl Paths {
    /// Adds a leaf, whose path is wanted or not.
    pub(crate) fn push(&mut self, leaf: &[u8], wanted: bool) {
        let mut below = Vec::new();
        if wanted {
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
        for place in &left.1 {
            self.paths[*place].siblings.push(right.0);
        }
        for place in &right.1 {
            self.paths[*place].siblings.push(left.0);
        }
        let below = [left.1, right.1].concat();
        (node_hash(&left.0, &right.0), below)
    }

    /// The paths in the tree as it is now.
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
    fn roots_and_paths_are_those_of_another_implementation() {
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
    fn a_tree_goes_on_from_what_was_kept_of_it() {
        let mut whole = Frontier::new();
        for number in 0..1_000_u32 {
            let kept = Frontier::from_parts(whole.size(), whole.nodes().to_vec());
            let mut again = kept.unwrap();
            whole.push(&number.to_be_bytes());
            again.push(&number.to_be_bytes());
            assert_eq!(again, whole);
        }
        assert!(Frontier::from_parts(3, vec![[0; 32]]).is_none());
    }
}
