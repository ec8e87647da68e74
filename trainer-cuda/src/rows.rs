//! Rows of a launch over many tensors: what differs from tensor to tensor lies in a table in the device's memory, and every
//! block finds its row there (`shared/rows.cuh`).
//!
//! Invariant: a table is laid out as C lays out `struct { pointers; scalars; } rows[count]; unsigned first[count + 1];`, where
//! `first` holds the first block of every row and, last, the number of all blocks.

use crate::kernel::{PIECE, Param};

/// What a kernel is told of one tensor, and the blocks that work on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<P> {
    /// Its pointers in order: bindings, then places, then buffers, as a plan nears the device.
    pub pointers: Vec<P>,
    /// Its scalars in order.
    pub scalars: Vec<Param>,
    /// Its blocks.
    pub blocks: usize,
}

impl<P> Row<P> {
    /// A row whose blocks take a piece each of `n` elements, its only scalar.
    pub fn of_pieces(pointers: Vec<P>, n: usize) -> Self {
        Self { pointers, scalars: vec![n.into()], blocks: n.div_ceil(PIECE) }
    }

    /// The same with other pointers.
    pub fn with_pointers<Q>(&self, pointers: Vec<Q>) -> Row<Q> {
        Row { pointers, scalars: self.scalars.clone(), blocks: self.blocks }
    }

    /// Words of the struct: a pointer takes two, a scalar one, and the whole is a multiple of a pointer.
    fn words(&self) -> usize {
        (2 * self.pointers.len() + self.scalars.len()).next_multiple_of(2)
    }
}

/// Blocks of all rows.
pub(crate) fn blocks_of<P>(rows: &[Row<P>]) -> usize {
    rows.iter().map(|row| row.blocks).sum()
}

/// Words of the table of `rows`; a launch without rows has none.
pub(crate) fn table_words<P>(rows: &[Row<P>]) -> usize {
    let firsts = if rows.is_empty() { 0 } else { rows.len() + 1 };
    rows.iter().map(Row::words).sum::<usize>() + firsts
}

/// The table of `rows`, whose pointers are at these addresses.
pub(crate) fn table<P>(rows: &[Row<P>], address: impl Fn(&P) -> u64) -> Vec<u32> {
    let mut table = Vec::with_capacity(table_words(rows));
    for row in rows {
        let end = table.len() + row.words();
        table.extend(row.pointers.iter().map(&address).flat_map(|at| [at as u32, (at >> 32) as u32]));
        table.extend(row.scalars.iter().map(|scalar| scalar.word()));
        table.resize(end, 0);
    }
    let mut first = 0;
    for row in rows {
        table.push(first);
        first += row.blocks as u32;
    }
    table.push(first);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_rows_and_then_their_first_blocks() {
        let rows = [
            Row::of_pieces(vec![0x1_0000_0002u64, 3], PIECE + 1),
            Row { pointers: vec![4, 5], scalars: vec![0.5.into()], blocks: 0 },
            Row::of_pieces(vec![6, 7], PIECE),
        ];
        let half = 0.5f32.to_bits();
        let (long, short) = (PIECE as u32 + 1, PIECE as u32);
        let want = [[2, 1, 3, 0, long, 0], [4, 0, 5, 0, half, 0], [6, 0, 7, 0, short, 0]];
        let table = table(&rows, |&at| at);
        assert_eq!(table[..18], want.concat());
        assert_eq!(table[18..], [0, 2, 2, 3]);
        assert_eq!((table.len(), blocks_of(&rows)), (table_words(&rows), 3));
        assert_eq!(table_words::<u64>(&[]), 0);
    }
}
