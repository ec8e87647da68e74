//! A static byte trie for longest-prefix search over a set of keys with one number each.
//!
//! Invariant: the children of a node lie side by side, sorted by label. Not a map for single look-ups; a
//! hash map is faster for those.

use std::collections::VecDeque;

const NO_VALUE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Node {
    first_child: u32,
    value: u32,
    /// At most 256, one per label.
    children: u16,
    label: u8,
}

impl Node {
    fn new(label: u8) -> Node {
        Node { first_child: 0, value: NO_VALUE, children: 0, label }
    }
}

/// Keys with their values, ready for [`PrefixTrie::longest_prefix`].
#[derive(Clone, Debug)]
pub(crate) struct PrefixTrie {
    nodes: Vec<Node>,
}

impl PrefixTrie {
    /// A trie of `keys`: sorted, distinct, none empty, values below `u32::MAX`.
    pub fn build<K: AsRef<[u8]>>(keys: &[(K, u32)]) -> PrefixTrie {
        let mut nodes = vec![Node::new(0)];
        // Each entry is a node, the range of keys below it, and how many bytes those keys share.
        let mut queue = VecDeque::from([(0usize, 0..keys.len(), 0usize)]);
        while let Some((node, mut range, depth)) = queue.pop_front() {
            if !range.is_empty() && keys[range.start].0.as_ref().len() == depth {
                nodes[node].value = keys[range.start].1;
                range.start += 1;
            }
            nodes[node].first_child = nodes.len() as u32;
            while !range.is_empty() {
                let label = keys[range.start].0.as_ref()[depth];
                let same = keys[range.clone()].partition_point(|(key, _)| key.as_ref()[depth] == label);
                queue.push_back((nodes.len(), range.start..range.start + same, depth + 1));
                nodes.push(Node::new(label));
                nodes[node].children += 1;
                range.start += same;
            }
        }
        PrefixTrie { nodes }
    }

    fn children(&self, node: &Node) -> &[Node] {
        let first = node.first_child as usize;
        &self.nodes[first..first + usize::from(node.children)]
    }

    /// Length and value of the longest key that `text` starts with.
    pub fn longest_prefix(&self, text: &[u8]) -> Option<(usize, u32)> {
        let mut node = &self.nodes[0];
        let mut found = None;
        for (depth, byte) in text.iter().enumerate() {
            let children = self.children(node);
            let Ok(child) = children.binary_search_by_key(byte, |child| child.label) else { break };
            node = &children[child];
            if node.value != NO_VALUE {
                found = Some((depth + 1, node.value));
            }
        }
        found
    }

    /// Every key with its value, in key order.
    pub fn entries(&self) -> Vec<(Vec<u8>, u32)> {
        let mut entries = Vec::new();
        let mut stack = vec![(0usize, 0usize)];
        let mut key = Vec::new();
        while let Some((node, depth)) = stack.pop() {
            if depth > 0 {
                key.truncate(depth - 1);
                key.push(self.nodes[node].label);
            }
            if self.nodes[node].value != NO_VALUE {
                entries.push((key.clone(), self.nodes[node].value));
            }
            let first = self.nodes[node].first_child as usize;
            let children = first..first + usize::from(self.nodes[node].children);
            stack.extend(children.rev().map(|child| (child, depth + 1)));
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_wins_and_entries_come_back_sorted() {
        let keys = [("a", 0), ("ab", 1), ("abcd", 2), ("b\u{e9}", 3)];
        let trie = PrefixTrie::build(&keys);
        assert_eq!(trie.longest_prefix(b"abcx"), Some((2, 1)));
        assert_eq!(trie.longest_prefix(b"abcd"), Some((4, 2)));
        assert_eq!(trie.longest_prefix(b"b"), None);
        assert_eq!(trie.longest_prefix(b""), None);
        let expected: Vec<_> = keys.iter().map(|(key, value)| (key.as_bytes().to_vec(), *value)).collect();
        assert_eq!(trie.entries(), expected);
    }

    #[test]
    fn an_empty_trie_matches_nothing() {
        let trie = PrefixTrie::build::<&str>(&[]);
        assert_eq!(trie.longest_prefix(b"a"), None);
        assert!(trie.entries().is_empty());
    }
}
