//! Constant tables of a device: numbers formed in f64, once.

use crate::driver::Driver;
use crate::exec::allocate;
use crate::lower::Table;
use golf_core::backend::BackendError;
use golf_core::ops::rope_table;

/// Tables by content.
pub(crate) struct Tables<B>(Vec<(Table, B, usize)>);

impl<B> Default for Tables<B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<B: Clone> Tables<B> {
    /// The buffer of `table`, uploaded on first use.
    pub fn get<D: Driver<Buffer = B>>(&mut self, driver: &mut D, table: &Table) -> Result<B, BackendError> {
        if let Some((_, buffer, _)) = self.0.iter().find(|(known, ..)| known == table) {
            return Ok(buffer.clone());
        }
        let words: Vec<u32> = values(table).into_iter().map(f32::to_bits).collect();
        let buffer = allocate(driver, words.len(), "constant table")?;
        driver.upload(&words, &buffer)?;
        self.0.push((table.clone(), buffer.clone(), words.len()));
        Ok(buffer)
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(.., words)| 4 * *words as u64).sum()
    }
}

fn values(&Table::Rope { seq, dims, base }: &Table) -> Vec<f32> {
    rope_table(seq, dims, base)
}
