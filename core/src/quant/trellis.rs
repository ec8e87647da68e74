//! Integers on a trellis: of every integer the parity is known before it is read.
//!
//! A row passes through eight states, one step per weight, the first in state 0. The state says whether the next integer is even or
//! odd; which of two states follows is said by the parity of half of it. So each state offers every other point of the grid, a
//! coder pays for half as many symbols, and the search for a row ([`super::gptq`]) may still come close to any weight by the right
//! way through the states. At equal error that takes 5 % fewer bits than rounding to the same number of points (trellis-coded
//! quantization: Marcellin and Fischer 1990; the partition into subsets is Ungerboeck's, 1982).
//!
//! Invariant: readers need to know none of this: the integers are ordinary ones. Not here: the search, the coder.

/// States.
pub const STATES: usize = 8;

/// Where a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u8);

impl State {
    /// The state of a number below [`STATES`].
    pub(super) fn new(index: usize) -> State {
        assert!(index < STATES, "there are {STATES} states");
        State(index as u8)
    }

    /// Its number, below [`STATES`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Parity of the next integer: 0 or 1.
    #[inline(always)]
    pub fn parity(self) -> i32 {
        i32::from((self.0 ^ (self.0 >> 1)) & 1)
    }

    /// The state after the integer `q`, which has this state's parity.
    #[inline(always)]
    pub fn after(self, q: i32) -> State {
        // An arithmetic shift rounds down, so this is the parity of (q - parity) / 2 for negative ones too.
        let half = (q >> 1) as u8 & 1;
        let turn = (self.0 ^ (self.0 >> 2)) & 1;
        State((self.0 << 1 | (half ^ turn)) & (STATES as u8 - 1))
    }
}

/// Whether every row of `cols` integers is a way through the states.
pub fn follows(integers: impl IntoIterator<Item = i32>, cols: usize) -> bool {
    let mut state = State::default();
    integers.into_iter().enumerate().all(|(i, q)| {
        state = if i % cols == 0 { State::default() } else { state };
        let fits = (q & 1) == state.parity();
        state = state.after(q);
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_two_successors_and_two_predecessors() {
        let mut entered = [0; STATES];
        for state in (0..STATES).map(State::new) {
            let q = state.parity();
            let [one, other] = [q, q + 2].map(|q| state.after(q).index());
            assert_ne!(one, other);
            // Integers four apart are of one subset.
            assert_eq!(state.after(q - 4).index(), one);
            entered[one] += 1;
            entered[other] += 1;
        }
        assert_eq!(entered, [2; STATES]);
    }

    #[test]
    fn a_way_is_recognized_and_a_step_off_it_too() {
        let mut state = State::default();
        let mut row: Vec<i32> = (0..64)
            .map(|i| {
                let q = 2 * (i * 7 % 13 - 6) + state.parity();
                state = state.after(q);
                q
            })
            .collect();
        assert!(follows(row.iter().copied(), 64));
        assert!(follows(row.iter().chain(&row).copied(), 64));
        assert!(
            !follows(row.iter().chain(&row).copied(), 128),
            "the second row does not start in the first's last state"
        );
        row[20] += 1;
        assert!(!follows(row, 64));
    }
}
