//! Which tensor is stored how: the export recipes of the published systems and golf's own, as tables over
//! names.
//!
//! A tensor's class follows from substrings of its name; a recipe maps classes to schemes. Small tensors pass
//! through. Invariant: every name of every shape has exactly one answer, and none depends on the values. The
//! same file says what training should fake-quantize, since both read the same names. Not here: the
//! quantizers ([`super::scheme`]).

use serde::{Deserialize, Serialize};

use super::fake::{FakeQuantKind, FakeQuantRule};
use super::scheme::Scheme;

/// Form in which one tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Half precision.
    Fp16,
    /// Single precision.
    Fp32,
    /// Integers and steps.
    Quantized(Scheme),
}

impl Storage {
    /// Name in reports and fixtures.
    pub fn name(self) -> &'static str {
        match self {
            Storage::Fp16 => "fp16",
            Storage::Fp32 => "fp32",
            Storage::Quantized(scheme) => scheme.name(),
        }
    }
}

/// A rule set for exporting a whole model.
///
/// The first eight reproduce published systems. `Int4` to `Int8` are golf's own: hidden matrices at that
/// width and embeddings at 8 bits (6 under `Int4`), each row with its best clip ([`Scheme::Ratio`]),
/// everything else in half precision. They avoid the published lower bounds on the step, which erase rows of
/// small weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportRecipe {
    /// The challenge's baseline: int8 everywhere.
    Baseline,
    /// PR #264: int5 MLP, int6 attention and bigram.
    S264,
    /// PR #585: int5 MLP and attention.
    S585,
    /// PR #549: int6 MLP and attention.
    P549,
    /// PR #861: 31 levels everywhere.
    S861,
    /// PR #1216, V7: int4 MLP and hashes, int6 attention.
    S1216Int4,
    /// PR #1216, V11: int6 everywhere.
    S1216Int6,
    /// PR #951, 16 layers: nibble MLP, int6 attention and hashes.
    S951,
    /// 4-bit matrices, 6-bit embeddings.
    Int4,
    /// 5-bit matrices, 8-bit embeddings.
    Int5,
    /// 6-bit matrices, 8-bit embeddings.
    Int6,
    /// 8-bit matrices and embeddings.
    Int8,
}

const CONTROLS: [&str; 5] = ["attn_scale", "mlp_scale", "resid_mix", "q_gain", "skip_weight"];
const VALUE_SCALES: &[&str] = &["ve_layer_scales", "ve_shared.scale"];
const HASHES: &[&str] = &["bigram", "trigram"];

/// The published recipes: what [`CONTROLS`] and classes become.
struct Published {
    /// Control names beyond [`CONTROLS`].
    controls: &'static [&'static [&'static str]],
    /// Whether size decides first; then small controls are fp16 and large ones fp32. Otherwise small controls
    /// are fp32, large ones are quantized like the rest.
    size_first: bool,
    /// Block whose `c_k`, with `tok_emb`, stays fp16.
    keys_kept: Keys,
    /// Names of the hash class; without it they fall to the classes below.
    hashes: &'static [&'static str],
    mlp: Scheme,
    hash: Scheme,
    attention: Scheme,
    rest: Scheme,
}

#[derive(Clone, Copy)]
enum Keys {
    None,
    LastBlock,
    Block(usize),
}

impl ExportRecipe {
    /// Every recipe.
    pub const ALL: [ExportRecipe; 12] = {
        use ExportRecipe::*;
        [Baseline, S264, S585, P549, S861, S1216Int4, S1216Int6, S951, Int4, Int5, Int6, Int8]
    };

    /// Form of the tensor `name` of `shape` in a model of `layers` blocks. Tensors of at most
    /// `passthrough_max_elements` elements are not quantized.
    pub fn route(
        self,
        name: &str,
        shape: &[usize],
        passthrough_max_elements: usize,
        layers: usize,
    ) -> Storage {
        let small = shape.iter().product::<usize>() <= passthrough_max_elements;
        match self.published() {
            Some(table) => table.route(name, shape, small, layers),
            None if small || !is_weight_matrix(name, shape) => Storage::Fp16,
            None => Storage::Quantized(Scheme::Ratio { c: self.own_bounds(is_embedding(name)) }),
        }
    }

    /// Elements up to which a tensor passes through by default: as published, 4,096 for golf's own recipes.
    pub fn passthrough_max_elements(self) -> usize {
        use ExportRecipe::*;
        match self {
            Baseline | S264 | S585 | P549 | S861 => 65_536,
            S1216Int4 | S1216Int6 | S951 => 8_192,
            Int4 | Int5 | Int6 | Int8 => 4_096,
        }
    }

    /// Fraction of each large matrix that is zeroed before quantization, as published; golf's own recipes
    /// prune nothing.
    pub fn prune_fraction(self) -> f64 {
        use ExportRecipe::*;
        match self {
            S585 => 0.02,
            S861 => 0.15,
            S1216Int4 | S1216Int6 | S951 => 0.03,
            Baseline | S264 | P549 | Int4 | Int5 | Int6 | Int8 => 0.0,
        }
    }

    /// Rule under which training sees the tensor `name` of `shape`, if the published system fake-quantizes
    /// it. Golf's own recipes fake-quantize every linear matrix at its export width; the caller leaves out
    /// those that pass through.
    pub fn fake_quant(self, name: &str, shape: &[usize]) -> Option<FakeQuantRule> {
        use ExportRecipe::*;
        let linear =
            is_weight_matrix(name, shape) && name != "tok_emb.weight" && !name.ends_with("embed.weight");
        let mlp = linear && name.contains(".mlp.");
        let hash = shape.len() == 2 && HASHES.iter().any(|hash| name.starts_with(hash));
        let (kind, c) = match self {
            S585 if linear => (FakeQuantKind::S585, 15),
            S861 if linear => (FakeQuantKind::S861, 15),
            P549 if linear && !name.starts_with("blocks.") => (FakeQuantKind::P549, 31),
            S951 if mlp => (FakeQuantKind::MaxFloorAfter, 7),
            S1216Int4 if mlp || hash => (FakeQuantKind::Max, 7),
            S1216Int4 if linear => (FakeQuantKind::Max, 31),
            S1216Int6 if linear || hash => (FakeQuantKind::Max, 31),
            Int4 | Int5 | Int6 | Int8 if linear && !is_embedding(name) => {
                (FakeQuantKind::Max, self.own_bounds(false))
            }
            _ => return None,
        };
        Some(FakeQuantRule::new(kind, c))
    }

    /// Largest integers of golf's own recipes.
    fn own_bounds(self, embedding: bool) -> u32 {
        let (matrix, table) = match self {
            ExportRecipe::Int4 => (7, 31),
            ExportRecipe::Int5 => (15, 127),
            ExportRecipe::Int6 => (31, 127),
            _ => (127, 127),
        };
        if embedding { table } else { matrix }
    }

    #[rustfmt::skip]
    fn published(self) -> Option<&'static Published> {
        use Scheme::{Nibble, Percentile, PercentileFloor, Q8, Ratio, RowMax};
        const SMEAR: &[&str] = &["smear"];
        const BIGRAM_SCALE: &[&str] = &["bigram.scale"];
        const HASH_SCALES: &[&str] = &["bigram.scale", "trigram.scale"];
        const GATES: &[&str] = &["smear_gate", "skip_gates"];
        static BASELINE: Published = Published {
            controls: &[], size_first: false, keys_kept: Keys::None, hashes: &[],
            mlp: Q8, hash: Q8, attention: Q8, rest: Q8,
        };
        static S264: Published = Published {
            controls: &[SMEAR, BIGRAM_SCALE], size_first: true, keys_kept: Keys::None, hashes: &["bigram"],
            mlp: RowMax { c: 15 }, hash: RowMax { c: 31 }, attention: RowMax { c: 31 }, rest: Q8,
        };
        static S585: Published = Published {
            controls: &[SMEAR, VALUE_SCALES], size_first: true, keys_kept: Keys::None, hashes: &[],
            mlp: Scheme::S585, hash: Q8, attention: Scheme::S585, rest: Q8,
        };
        static P549: Published = Published {
            controls: &[SMEAR, VALUE_SCALES], size_first: true, keys_kept: Keys::None, hashes: &[],
            mlp: PercentileFloor { c: 31 }, hash: Q8, attention: PercentileFloor { c: 31 }, rest: Q8,
        };
        static S861: Published = Published {
            controls: &[GATES, VALUE_SCALES], size_first: false, keys_kept: Keys::None, hashes: &[],
            mlp: Scheme::S861, hash: Scheme::S861, attention: Scheme::S861, rest: Scheme::S861,
        };
        static S1216_INT4: Published = Published {
            controls: &[SMEAR, HASH_SCALES, VALUE_SCALES], size_first: true, keys_kept: Keys::LastBlock,
            hashes: HASHES, mlp: Percentile { c: 7 }, hash: Percentile { c: 7 }, attention: Percentile { c: 31 }, rest: Q8,
        };
        static S1216_INT6: Published = Published {
            controls: &[SMEAR, HASH_SCALES, VALUE_SCALES], size_first: true, keys_kept: Keys::LastBlock,
            hashes: HASHES, mlp: Percentile { c: 31 }, hash: Percentile { c: 31 }, attention: Percentile { c: 31 }, rest: Q8,
        };
        static S951: Published = Published {
            controls: &[SMEAR, HASH_SCALES], size_first: true, keys_kept: Keys::Block(10), hashes: HASHES,
            mlp: Nibble, hash: Ratio { c: 31 }, attention: Ratio { c: 31 }, rest: Q8,
        };
        match self {
            ExportRecipe::Baseline => Some(&BASELINE),
            ExportRecipe::S264 => Some(&S264),
            ExportRecipe::S585 => Some(&S585),
            ExportRecipe::P549 => Some(&P549),
            ExportRecipe::S861 => Some(&S861),
            ExportRecipe::S1216Int4 => Some(&S1216_INT4),
            ExportRecipe::S1216Int6 => Some(&S1216_INT6),
            ExportRecipe::S951 => Some(&S951),
            ExportRecipe::Int4 | ExportRecipe::Int5 | ExportRecipe::Int6 | ExportRecipe::Int8 => None,
        }
    }
}

impl Published {
    fn route(&self, name: &str, shape: &[usize], small: bool, layers: usize) -> Storage {
        let listed = |list: &[&str]| list.iter().any(|part| name.contains(part));
        let control = listed(&CONTROLS) || self.controls.iter().any(|list| listed(list));
        match (small, control) {
            (true, true) if !self.size_first => Storage::Fp32,
            (true, _) => Storage::Fp16,
            (false, true) if self.size_first => Storage::Fp32,
            (false, _) if self.keeps_half(name, layers) => Storage::Fp16,
            (false, _) => Storage::Quantized(self.scheme(name, shape)),
        }
    }

    fn keeps_half(&self, name: &str, layers: usize) -> bool {
        let block = match self.keys_kept {
            Keys::None => return false,
            Keys::LastBlock => layers.checked_sub(1),
            Keys::Block(block) => Some(block),
        };
        name.contains("tok_emb")
            || block.is_some_and(|block| name.contains(&format!("blocks.{block}.attn.c_k")))
    }

    /// The first class that matches decides, as in the published exporters.
    fn scheme(&self, name: &str, shape: &[usize]) -> Scheme {
        if name.contains("tok_emb") || name.contains("lm_head") {
            self.rest
        } else if name.contains(".mlp.") {
            // Only matrices are packed two to a byte; a vector of that class takes the attention's form.
            if self.mlp == Scheme::Nibble && shape.len() != 2 { self.attention } else { self.mlp }
        } else if self.hashes.iter().any(|hash| name.contains(hash)) {
            self.hash
        } else if name.contains(".attn.") || name.contains(".proj.") {
            self.attention
        } else {
            self.rest
        }
    }
}

/// Matrices of linear layers and embedding tables; other two-dimensional parameters (`resid_mix`) are vectors
/// in disguise.
fn is_weight_matrix(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && name.ends_with(".weight")
}

/// Tables that are looked up by id, and the head that may share one.
fn is_embedding(name: &str) -> bool {
    name.contains("tok_emb") || name.contains("lm_head") || name.ends_with("embed.weight")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: [usize; 2] = [1024, 512];

    fn stored(recipe: ExportRecipe, name: &str, shape: &[usize]) -> (&'static str, u32) {
        match recipe.route(name, shape, recipe.passthrough_max_elements(), 11) {
            Storage::Quantized(scheme) => (scheme.name(), scheme.c()),
            plain => (plain.name(), 0),
        }
    }

    #[test]
    fn published_recipes_route_production_tensors_as_documented() {
        use ExportRecipe::*;
        let expected = [
            (S264, "blocks.3.mlp.fc.weight", ("max", 15)),
            (S264, "bigram.embed.weight", ("max", 31)),
            (S585, "bigram.embed.weight", ("q8", 127)),
            (S585, "blocks.0.attn.c_q.weight", ("s585", 15)),
            (S861, "tok_emb.weight", ("s861", 15)),
            (P549, "tok_emb.weight", ("q8", 127)),
            (S1216Int4, "blocks.10.attn.c_k.weight", ("fp16", 0)),
            (S1216Int4, "blocks.1.attn.c_k.weight", ("pct", 31)),
            (S1216Int4, "blocks.1.mlp.proj.weight", ("pct", 7)),
            (S1216Int6, "ve_shared.embed.weight", ("q8", 127)),
            (S951, "blocks.1.mlp.proj.weight", ("nibble", 7)),
            (S951, "trigram.embed.weight", ("ratio", 31)),
        ];
        for (recipe, name, form) in expected {
            assert_eq!(stored(recipe, name, &BIG), form, "{recipe:?} {name}");
        }
    }

    #[test]
    fn small_controls_are_single_precision_only_where_published_so() {
        for recipe in ExportRecipe::ALL {
            let single = matches!(recipe, ExportRecipe::Baseline | ExportRecipe::S861);
            let form = if single { "fp32" } else { "fp16" };
            assert_eq!(stored(recipe, "blocks.0.attn.q_gain", &[8]).0, form, "{recipe:?}");
            assert_eq!(stored(recipe, "bigram.proj.weight", &[8, 8]).0, "fp16", "{recipe:?}");
        }
    }

    #[test]
    fn own_recipes_quantize_matrices_and_pass_everything_else() {
        assert_eq!(stored(ExportRecipe::Int4, "blocks.0.mlp.fc.weight", &BIG), ("ratio", 7));
        assert_eq!(stored(ExportRecipe::Int4, "tok_emb.weight", &BIG), ("ratio", 31));
        assert_eq!(stored(ExportRecipe::Int5, "bigram.embed.weight", &BIG), ("ratio", 127));
        assert_eq!(stored(ExportRecipe::Int6, "blocks.0.resid_mix", &[2, 1 << 16]), ("fp16", 0));
        assert_eq!(stored(ExportRecipe::Int8, "blocks.0.mlp.bias", &[1 << 20]), ("fp16", 0));
    }

    #[test]
    fn own_recipes_train_at_the_width_that_they_export() {
        for recipe in [ExportRecipe::Int4, ExportRecipe::Int5, ExportRecipe::Int6, ExportRecipe::Int8] {
            let name = "blocks.0.attn.proj.weight";
            let rule = recipe.fake_quant(name, &BIG).expect("linear matrices are fake-quantized");
            assert_eq!(rule.c, stored(recipe, name, &BIG).1);
            assert_eq!(recipe.fake_quant("tok_emb.weight", &BIG), None);
        }
    }
}
