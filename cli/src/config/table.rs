//! Every setting of a training run, once: its key, the environment names that the challenge's scripts give it, what it is.
//!
//! Parsing of the environment, `--set`, files, `--print-config` and the documentation all walk this table. The defaults and
//! types are those of [`super::Config`]; a test holds both to the same keys.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Section and field, `model.layers`; the field alone is unique too.
    pub key: &'static str,
    /// Environment variables, strongest first.
    pub env: &'static [&'static str],
    /// What it is, a few words.
    pub doc: &'static str,
}

impl Setting {
    /// The field without its section.
    pub fn field(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, field)| field)
    }
}

const fn row(key: &'static str, env: &'static [&'static str], doc: &'static str) -> Setting {
    Setting { key, env, doc }
}

/// `MLP_MULT`: the one name whose value is not a setting's: hidden width as a multiple of the model's.
pub const MLP_MULT: &str = "MLP_MULT";

/// All settings, in the order in which they are printed.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    row("model.vocab",                       &["VOCAB_SIZE"],                    "vocabulary size; a tokenizer sets it"),
    row("model.layers",                      &["NUM_LAYERS"],                    "blocks"),
    row("model.dim",                         &["MODEL_DIM"],                     "model width"),
    row("model.heads",                       &["NUM_HEADS"],                     "query heads"),
    row("model.kv_heads",                    &["NUM_KV_HEADS"],                  "key/value heads"),
    row("model.hidden",                      &[],                                "MLP width (MLP_MULT sets it as a multiple of dim)"),
    row("model.act",                         &[],                                "relu2, leaky2 or leaky2_affine"),
    row("model.bigram",                      &[],                                "hashed bigrams: none, v1 or v2"),
    row("model.bigram_buckets",              &["BIGRAM_VOCAB_SIZE"],             "rows of the bigram table"),
    row("model.bigram_dim",                  &["BIGRAM_DIM"],                    "width of the bigram table"),
    row("model.trigram",                     &[],                                "hashed trigrams: none, s951, s1216 or p1019"),
    row("model.trigram_buckets",             &["TRIGRAM_VOCAB_SIZE"],            "rows of the trigram table"),
    row("model.trigram_dim",                 &["TRIGRAM_DIM"],                   "width of the trigram table"),
    row("model.smear",                       &["SMEAR_GATE"],                    "blend embeddings with their predecessors"),
    row("model.ve_layers",                   &["VE_LAYERS"],                     "layers with value embeddings, comma-separated"),
    row("model.ve_dim",                      &["VE_DIM"],                        "width of the value embedding"),
    row("model.xsa_last_n",                  &["XSA_LAST_N", "XSA_LAYERS"],      "last layers with exclusive self-attention"),
    row("model.rope_dims",                   &["ROPE_DIMS"],                     "rotated channels per head"),
    row("model.rope_base",                   &["ROPE_BASE"],                     "rotary base"),
    row("model.rope_ntk",                    &[],                                "rescale the rotary base for long windows"),
    row("model.rope_train_len",              &["ROPE_TRAIN_SEQ_LEN"],            "length for which the rotary base holds"),
    row("model.window",                      &[],                                "default window for scoring; the artifact gets train_seq_len"),
    row("model.ln_scale",                    &["LN_SCALE"],                      "damp normalized inputs by depth"),
    row("model.resid_mix",                   &[],                                "mix the stem into every block"),
    row("model.skips",                       &[],                                "U-Net skips: none, plain or gated"),
    row("model.kv_share",                    &[],                                "0 own, -1 all from block 0, n the last n from n before"),
    row("model.softcap",                     &["LOGIT_SOFTCAP"],                 "cap of the logits"),
    row("model.tied",                        &["TIE_EMBEDDINGS"],                "the head is the token embedding"),
    row("model.q_gain",                      &["QK_GAIN_INIT"],                  "initial gain of the queries"),
    row("model.names",                       &[],                                "parameter names: std or s861"),
    row("recipe.seed",                       &["SEED"],                          "seed of the initial weights"),
    row("recipe.init",                       &[],                                "uniform, orthogonal or orthogonal_banked"),
    row("recipe.iterations",                 &["ITERATIONS"],                    "steps at most"),
    row("recipe.max_wallclock_seconds",      &["MAX_WALLCLOCK_SECONDS"],         "training time at most; 0 is no cap"),
    row("recipe.train_batch_tokens",         &["TRAIN_BATCH_TOKENS"],            "tokens of a step"),
    row("recipe.train_seq_len",              &["TRAIN_SEQ_LEN"],                 "tokens of a row"),
    row("recipe.grad_accum_steps",           &["GRAD_ACCUM_STEPS"],              "takes from the token stream per step"),
    row("recipe.micro_batch_rows",           &["MICRO_BATCH_ROWS"],              "rows at a time; 0: as many as a CUDA GPU holds, 8192 tokens elsewhere"),
    row("recipe.precision",                  &[],                                "products: f32, or bf16 with sums in f32 (CUDA only, and its default)"),
    row("recipe.token_lr",                   &["TIED_EMBED_LR", "TOKEN_LR"],     "rate of the token embedding"),
    row("recipe.matrix_lr",                  &["MATRIX_LR"],                     "rate of matrices (Muon)"),
    row("recipe.scalar_lr",                  &["SCALAR_LR"],                     "rate of gains, gates, scales"),
    row("recipe.decoder_lr_mult",            &["DECODER_LR_MULT"],               "factor on the second half's rates"),
    row("recipe.muon_weight_decay",          &["MUON_WD", "MUON_WEIGHT_DECAY"],  "decoupled decay of matrices"),
    row("recipe.adam_weight_decay",          &["ADAM_WD", "ADAM_WEIGHT_DECAY"],  "decoupled decay of the rest"),
    row("recipe.beta1",                      &["BETA1"],                         "AdamW's first decay"),
    row("recipe.beta2",                      &["BETA2"],                         "AdamW's second decay"),
    row("recipe.adam_eps",                   &["ADAM_EPS"],                      "AdamW's epsilon"),
    row("recipe.muon_momentum",              &["MUON_MOMENTUM"],                 "Muon's momentum"),
    row("recipe.muon_momentum_warmup_start", &["MUON_MOMENTUM_WARMUP_START"],    "its value at step 0"),
    row("recipe.muon_momentum_warmup_steps", &["MUON_MOMENTUM_WARMUP_STEPS"],    "steps until it is reached"),
    row("recipe.muon_decay_first",           &[],                                "weights decay before their update"),
    row("recipe.projections",                &[],                                "tables' projections: muon, scalar or value_scalar"),
    row("recipe.tables",                     &[],                                "rate of hash tables: token or scalar"),
    row("recipe.train_trigram",              &[],                                "train the trigram hash"),
    row("recipe.grad_clip_norm",             &["GRAD_CLIP_NORM"],                "limit of the gradient norm; 0 is off"),
    row("recipe.warmdown_iters",             &["WARMDOWN_ITERS"],                "steps of the final decay"),
    row("recipe.warmdown_fraction",          &["WARMDOWN_FRAC"],                 "the same as a fraction of the run, unless 0"),
    row("recipe.min_lr_scale",               &["MIN_LR"],                        "lowest factor under warmdown_fraction"),
    row("recipe.warmdown_end",               &[],                                "decay towards: cap or earliest"),
    row("recipe.ema_enabled",                &["EMA_ENABLED"],                   "keep and export an exponential average"),
    row("recipe.ema_decay",                  &["EMA_DECAY"],                     "its decay per step"),
    row("recipe.ema_start",                  &[],                                "its start: initial or first_step"),
    row("recipe.ema_restart_at_qat",         &[],                                "restart it when fake quantization begins"),
    row("recipe.ema_bf16_tables",            &[],                                "round averages of tables to bf16 (a published defect)"),
    row("recipe.swa_enabled",                &["SWA_ENABLED"],                   "average snapshots where there is no EMA"),
    row("recipe.swa_below",                  &["SWA_START_FRAC"],                "snapshots below this rate factor"),
    row("recipe.swa_every",                  &["SWA_EVERY"],                     "steps between snapshots"),
    row("recipe.qat",                        &[],                                "fake quantization: never, always, lr_scale or clock"),
    row("recipe.qat_threshold",              &["LATE_QAT_THRESHOLD", "QAT_THRESHOLD"], "its threshold"),
    row("recipe.qat_scope",                  &[],                                "its weights: system or stored"),
    row("recipe.qat_rounding",               &[],                                "its rounding: hard or soft"),
    row("recipe.export",                     &[],                                "quantization of the artifact, such as int6"),
    row("recipe.passthrough_max_elements",   &[],                                "tensors up to this size stay fp16"),
    row("recipe.prune_fraction",             &["PRUNE_FRACTION"],                "smallest weights that become zero"),
    row("recipe.prune_above_elements",       &[],                                "matrices up to this size are not pruned"),
    row("recipe.method",                     &[],                                "integers: nearest, gptq, trellis, gptq_s585, gptq_s1216, output_ratio"),
    row("recipe.calibration_rows",           &[],                                "rows of training text that it is calibrated on"),
    row("recipe.calibration_reserve_seconds", &[],                               "training time left to calibration, inside the cap"),
    row("recipe.target_bytes",               &["TARGET_BYTES"],                  "prune the artifact down to so many bytes; 0 is off"),
    row("recipe.ttt_order",                  &[],                                "test-time training: score_first or train_then_score"),
    row("recipe.ttt_optimizer",              &[],                                "its optimizer: sgd or adamw"),
    row("recipe.ttt_lr",                     &["TTT_LR"],                        "its rate"),
    row("recipe.ttt_epochs",                 &["TTT_EPOCHS"],                    "its epochs per chunk"),
    row("recipe.ttt_chunk_tokens",           &["TTT_CHUNK_TOKENS"],              "tokens of its chunks"),
    row("recipe.ttt_stride",                 &["EVAL_STRIDE"],                   "stride of its windows"),
    row("recipe.ttt_params",                 &[],                                "what it trains: all, mlp or last-N"),
    row("run.data",                          &["DATA_PATH"],                     "training shards: a folder, a file or a pattern"),
    row("run.val",                           &["VAL_PATH"],                      "validation shards (default: those of the folder)"),
    row("run.tokenizer",                     &["TOKENIZER_PATH"],                "SentencePiece model; goes into the artifact"),
    row("run.out",                           &["OUT_DIR"],                       "output folder (default: runs/ID)"),
    row("run.run_id",                        &["RUN_ID"],                        "name of the run (default: preset and hash)"),
    row("run.resume",                        &["RESUME"],                        "off, auto or a checkpoint"),
    row("run.checkpoint_every",              &["CHECKPOINT_EVERY"],              "steps (100), time (60s) or never"),
    row("run.checkpoint_keep",               &["CHECKPOINT_KEEP"],               "checkpoints to keep"),
    row("run.val_loss_every",                &["VAL_LOSS_EVERY"],                "steps between validations; 0 is only at the end"),
    row("run.val_tokens",                    &["VAL_TOKENS"],                    "validation tokens at most; 0 is all"),
    row("run.train_log_every",               &["TRAIN_LOG_EVERY"],               "steps between log lines"),
    row("run.device",                        &["DEVICE"],                        "auto, cpu, reference, wgpu[:N] or cuda[:N]"),
    row("run.threads",                       &["THREADS"],                       "threads; 0 is all cores, or a rank's part of them"),
    row("run.reduction",                     &["REDUCTION"],                     "ranks sum gradients in_order (one rank's bits) or once"),
    row("run.rank_timeout",                  &["RANK_TIMEOUT"],                  "seconds of silence after which a rank hangs"),
];

/// The setting of a key, with or without its section.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key || s.field() == key)
}

/// The key or field closest to `key`, if any is close.
pub fn closest(key: &str) -> Option<&'static str> {
    let names = SETTINGS.iter().flat_map(|s| [s.key, s.field()]);
    let scored = names.map(|name| (strsim::jaro_winkler(&key.to_lowercase(), name), name));
    let (score, name) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_fields_and_environment_names_are_unique() {
        let all = |names: Vec<&str>| assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        all(SETTINGS.iter().map(|s| s.key).collect());
        all(SETTINGS.iter().map(|s| s.field()).collect());
        all(SETTINGS.iter().flat_map(|s| s.env).copied().chain([MLP_MULT]).collect());
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_setting() {
        assert_eq!(closest("matrix_rl"), Some("matrix_lr"));
        assert_eq!(closest("model.layer"), Some("model.layers"));
        assert_eq!(closest("zzzzzz"), None);
    }
}
