//! `golf completions`: what a shell needs to complete the commands.

use crate::cmd::{eval, train};
use crate::exit::{Outcome, Status};
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};
use std::io;

/// Flags of `golf completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The program
    #[arg(long, value_enum, default_value = "golf")]
    program: Program,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Program {
    Golf,
    GolfEval,
    GolfTrain,
}

/// Runs the command; `golf` is the whole of that program.
pub fn run(args: &CompletionsArgs, golf: Command) -> Outcome {
    let mut command = match args.program {
        Program::Golf => golf,
        Program::GolfEval => eval::EvalArgs::augment_args(Command::new("golf-eval")),
        Program::GolfTrain => train::TrainArgs::command(),
    };
    let name = command.get_name().to_owned();
    generate(args.shell, &mut command, name, &mut io::stdout());
    Ok(Status::Done)
}
