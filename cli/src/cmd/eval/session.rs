//! The chunks of a run, one after the other, with what is written between them.

use super::{EvalArgs, Ttt};
use crate::device::Target;
use crate::ranks::device::Opened;
use crate::ranks::role::Part;
use golf_core::collective::Collective;
use golf_core::eval::receipt::ChunkRecord;
use golf_core::eval::{
    EvalOptions, Evaluator, ModelWeights, Receipt, Snapshot, Stream, TrainThenScore, share,
};
use pollster::block_on;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::Path;

/// What happens to the state after a committed chunk; `None` where nobody needs states.
pub(super) type Commit<'a> = Option<&'a mut dyn FnMut(Snapshot) -> Result<(), Box<dyn Error>>>;

/// An evaluation of either kind.
pub(super) struct Session<'b> {
    evaluation: Evaluation<'b>,
    stream: Stream,
    /// Whether this is rank 0, which writes and prints.
    first: bool,
}

enum Evaluation<'b> {
    Honest(Evaluator<'b>),
    Illegal(TrainThenScore<'b>),
}

/// The bits per byte of the unadapted model.
pub(super) fn score_fixed(
    target: &Target,
    part: Option<&mut Part>,
    model: &ModelWeights,
    stream: Stream,
    options: EvalOptions,
) -> Result<Option<f64>, Box<dyn Error>> {
    let mut device = Opened::new(*target, part.as_deref())?;
    let ranks = device.collective(part)?;
    let mut evaluator = block_on(Evaluator::on_ranks(ranks, model, stream, options, None))?;
    while let Some(chunk) = evaluator.next_chunk() {
        let scored = block_on(evaluator.score(chunk))?;
        block_on(evaluator.adapt(scored))?;
    }
    Ok(evaluator.receipt()?.totals.val_bpb)
}

impl<'b> Session<'b> {
    /// Prepares the run; train-then-score trains here.
    pub fn start(
        args: &EvalArgs,
        mut ranks: Box<dyn Collective + 'b>,
        model: &ModelWeights,
        stream: Stream,
        options: EvalOptions,
        committed: Option<Snapshot>,
    ) -> Result<Self, Box<dyn Error>> {
        let (kept, first) = (stream.clone(), ranks.rank() == 0);
        let evaluation = match args.ttt {
            Ttt::TrainThenScore => {
                let how = args.train_then_score();
                Evaluation::Illegal(block_on(TrainThenScore::train_on_ranks(
                    ranks, model, stream, options, how,
                ))?)
            }
            honest => {
                let adapt = (honest == Ttt::ScoreFirst).then(|| args.adaptation());
                let committed = share(&mut *ranks, committed)?;
                let mut evaluator = block_on(Evaluator::on_ranks(ranks, model, stream, options, adapt))?;
                if let Some(snapshot) = committed {
                    block_on(evaluator.restore(snapshot))?;
                }
                Evaluation::Honest(evaluator)
            }
        };
        Ok(Self { evaluation, stream: kept, first })
    }

    /// Scores all chunks that are left, giving `commit` the state after each where it asks for states.
    pub fn run(&mut self, args: &EvalArgs, commit: &mut Commit<'_>) -> Result<(), Box<dyn Error>> {
        let mut per_token = match &args.per_token {
            Some(path) if self.first => Some(PerToken::open(path, self.scored_targets())?),
            _ => None,
        };
        let progress = self.first && !args.quiet && io::stderr().is_terminal();
        while let Some(record) = self.step(&mut per_token)? {
            if let Some(file) = &mut per_token {
                file.sync()?;
            }
            if let (Some(commit), Evaluation::Honest(evaluator)) = (commit.as_mut(), &mut self.evaluation) {
                commit(block_on(evaluator.snapshot())?)?;
            }
            if progress {
                let (done, chunks) = (record.index + 1, self.chunks());
                let bpb = record.bpb.unwrap_or(f64::NAN);
                eprintln!("chunk {done}/{chunks}: {bpb:.6} bits per byte, {} optimizer steps", record.steps);
            }
        }
        Ok(())
    }

    fn chunks(&self) -> usize {
        match &self.evaluation {
            Evaluation::Honest(evaluator) => evaluator.chunks(),
            Evaluation::Illegal(run) => run.chunks(),
        }
    }

    /// Targets scored by an earlier process.
    fn scored_targets(&self) -> u64 {
        match &self.evaluation {
            Evaluation::Honest(evaluator) => evaluator.records().iter().map(|record| record.tokens).sum(),
            Evaluation::Illegal(_) => 0,
        }
    }

    /// Scores, commits and adapts on the next chunk.
    fn step(&mut self, per_token: &mut Option<PerToken>) -> Result<Option<ChunkRecord>, Box<dyn Error>> {
        let stream = &self.stream;
        let mut write = |(target, nll): (usize, f64)| match per_token {
            Some(file) => file.write(stream, target, nll),
            None => Ok(()),
        };
        let record = match &mut self.evaluation {
            Evaluation::Honest(evaluator) => {
                let Some(chunk) = evaluator.next_chunk() else { return Ok(None) };
                let scored = block_on(evaluator.score(chunk))?;
                scored.targets().try_for_each(&mut write)?;
                block_on(evaluator.adapt(scored))?.clone()
            }
            Evaluation::Illegal(run) => {
                let Some(chunk) = run.next_chunk() else { return Ok(None) };
                let scored = block_on(run.score(chunk))?;
                scored.targets().try_for_each(&mut write)?;
                block_on(run.commit(scored))?.clone()
            }
        };
        Ok(Some(record))
    }

    /// The receipt, checked.
    pub fn receipt(&self) -> Result<Receipt, Box<dyn Error>> {
        let receipt = match &self.evaluation {
            Evaluation::Honest(evaluator) => evaluator.receipt()?,
            Evaluation::Illegal(run) => run.receipt()?,
        };
        receipt.verify()?;
        Ok(receipt)
    }
}

/// The per-target file. Its lines are on disk before the state that counts them.
struct PerToken(BufWriter<File>);

impl PerToken {
    /// Opens the file, keeping its first `keep` lines: those of the chunks that a resumed run does not score again.
    fn open(path: &Path, keep: u64) -> Result<Self, String> {
        let fail = |error: io::Error| format!("`{}`: {error}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(keep == 0)
            .read(true)
            .write(true)
            .open(path)
            .map_err(fail)?;
        let (mut reader, mut line, mut bytes) = (BufReader::new(&mut file), Vec::new(), 0);
        for got in 0..keep {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(fail)?;
            if line.last() != Some(&b'\n') {
                return Err(format!(
                    "`{}`: expected {keep} lines of the earlier run, got {got}",
                    path.display()
                ));
            }
            bytes += length as u64;
        }
        drop(reader);
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(fail)?;
        Ok(Self(BufWriter::new(file)))
    }

    fn write(&mut self, stream: &Stream, target: usize, nll: f64) -> io::Result<()> {
        let (token, bytes) = (stream.tokens[target + 1], stream.target_bytes[target]);
        writeln!(self.0, r#"{{"position":{target},"token":{token},"nll":{nll},"bytes":{bytes}}}"#)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_data()
    }
}
