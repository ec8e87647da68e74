//! The logistic function and its inverse in integers: the domain in which predictions are mixed.
//!
//! Probabilities are in units of 2^-16, log-odds in units of 1/256 nat. The tables are computed by the compiler in integer
//! arithmetic, so every machine decodes with the same numbers. Not here: who predicts.

/// Largest log-odds, in 1/256 nat: odds of about 3,000 to 1.
pub(super) const LIMIT: i32 = 2047;

/// exp(-1/256) in units of 2^-32.
const DECAY: u64 = 4_278_222_805;

/// Entries of both tables.
const ENTRIES: usize = 4096;

const SQUASH: [u16; ENTRIES] = squash_table();
const STRETCH: [i16; ENTRIES] = stretch_table();

/// Probability of log-odds `x`, which is clamped to ±[`LIMIT`].
#[inline(always)]
pub(super) fn squash(x: i32) -> u32 {
    u32::from(SQUASH[(x.clamp(-LIMIT, LIMIT) + LIMIT) as usize])
}

/// Log-odds of a probability below 2^16; a probability is told apart to 2^-12.
#[inline(always)]
pub(super) fn stretch(probability: u32) -> i32 {
    i32::from(STRETCH[(probability >> 4) as usize & (ENTRIES - 1)])
}

const fn squash_table() -> [u16; ENTRIES] {
    let mut table = [0; ENTRIES];
    // exp(-x) for x = 0, 1/256, 2/256, ... in units of 2^-32.
    let (mut exp, mut x) = (1u64 << 32, 0);
    while x <= LIMIT as usize {
        let above = (1u64 << 48) / ((1 << 32) + exp);
        table[LIMIT as usize + x] = above as u16;
        table[LIMIT as usize - x] = (65_536 - above) as u16;
        exp = exp * DECAY >> 32;
        x += 1;
    }
    table
}

const fn stretch_table() -> [i16; ENTRIES] {
    let mut table = [0; ENTRIES];
    let (mut i, mut x) = (0, -LIMIT);
    while i < ENTRIES {
        // The middle of the interval of probabilities that share an entry.
        let middle = (i * 16 + 8) as u16;
        while x < LIMIT && SQUASH[(x + LIMIT) as usize] < middle {
            x += 1;
        }
        table[i] = x as i16;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squash_is_the_logistic_function_to_its_last_bit_but_one() {
        for x in -LIMIT..=LIMIT {
            let exact = 65_536.0 / (1.0 + (-f64::from(x) / 256.0).exp());
            assert!((f64::from(squash(x)) - exact).abs() <= 1.0, "{x}: {} for {exact}", squash(x));
        }
        assert_eq!((squash(i32::MIN), squash(i32::MAX)), (squash(-LIMIT), squash(LIMIT)));
    }

    #[test]
    fn stretch_inverts_squash_within_its_resolution() {
        for probability in (8..65_536).step_by(16) {
            let exact = (f64::from(probability) / (65_536.0 - f64::from(probability))).ln() * 256.0;
            let expected = exact.clamp(f64::from(-LIMIT), f64::from(LIMIT));
            let got = f64::from(stretch(probability));
            assert!(
                (got - expected).abs() <= 2.0 + expected.abs() / 64.0,
                "{probability}: {got} for {expected}"
            );
        }
    }
}
