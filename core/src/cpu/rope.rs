//! Cosines and sines of rotary positions, made once per shape: forming them takes longer than rotating.

use crate::ops::{Op, QkNormRope, rope_angle};
use crate::plan::Plan;
use std::collections::BTreeMap;

/// Attributes that a table depends on; the base by its bits.
type Key = (usize, usize, u64);

/// Tables by window length, rotated channels and base.
#[derive(Default)]
pub(super) struct RopeTables {
    tables: BTreeMap<Key, Vec<f32>>,
}

fn key(op: &QkNormRope) -> Key {
    (op.seq, op.rope_dims, op.base.to_bits())
}

impl RopeTables {
    /// Adds the tables that `plan` needs.
    pub(super) fn prepare(&mut self, plan: &Plan) {
        for step in &plan.steps {
            let op = match &step.op {
                Op::QkNormRope(op) => op.clone(),
                Op::QkNormRopeAt(op) => op.whole(),
                Op::QkNormRopeGrad(op) => op.forward.clone(),
                _ => continue,
            };
            self.tables.entry(key(&op)).or_insert_with(|| table(&op));
        }
    }

    /// The table `[seq, 2, rope_dims / 2]` of `op`: a row of cosines and a row of sines for every position.
    pub(super) fn of(&self, op: &QkNormRope) -> &[f32] {
        self.tables.get(&key(op)).expect("`prepare` saw every step of the plan")
    }
}

/// Angles are formed in f64: at position 2000 an f32 angle is off by 1e-4.
fn table(op: &QkNormRope) -> Vec<f32> {
    let half = op.rope_dims / 2;
    let mut table = Vec::with_capacity(op.seq * op.rope_dims);
    for t in 0..op.seq {
        let angle = |i| rope_angle(t, i, op.rope_dims, op.base);
        table.extend((0..half).map(|i| angle(i).cos() as f32));
        table.extend((0..half).map(|i| angle(i).sin() as f32));
    }
    table
}
