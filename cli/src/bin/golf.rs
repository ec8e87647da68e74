//! The `golf` command.

fn main() {}
