//! Training and held-out documents of the first run.

/// One document in so many is held out.
const HELD_OUT_ONE_IN: usize = 40;
/// A single text too short for that split gives up its last part of so many.
const TAIL_ONE_IN: usize = 20;

/// Documents for training and the text to score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Training documents.
    pub train: Vec<String>,
    /// Held-out text: whole documents, an empty line apart, or the end of a single text.
    pub held_out: String,
}

/// Splits by position: every fortieth document, spread evenly, or with few documents the end of the text.
pub fn split(documents: Vec<String>) -> Split {
    if documents.len() < HELD_OUT_ONE_IN {
        return split_tail(&documents.join("\n\n"));
    }
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for (index, document) in documents.into_iter().enumerate() {
        let side = if index % HELD_OUT_ONE_IN == HELD_OUT_ONE_IN / 2 { &mut held_out } else { &mut train };
        side.push(document);
    }
    Split { train, held_out: held_out.join("\n\n") }
}

fn split_tail(text: &str) -> Split {
    let mut at = text.len() - text.len() / TAIL_ONE_IN;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    Split { train: vec![text[..at].to_owned()], held_out: text[at..].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_document_is_on_both_sides_and_none_is_lost() {
        let documents: Vec<String> = (0..200).map(|i| format!("document {i}")).collect();
        let split = split(documents.clone());
        let held_out: Vec<&str> = split.held_out.split("\n\n").collect();
        assert_eq!(held_out.len(), 5);
        assert!(held_out.iter().all(|text| !split.train.iter().any(|t| t == text)));
        assert_eq!(split.train.len() + held_out.len(), documents.len());
    }

    #[test]
    fn a_single_text_is_cut_at_a_character() {
        let text = "\u{e9}".repeat(1001);
        let split = split(vec![text.clone()]);
        assert_eq!(format!("{}{}", split.train[0], split.held_out), text);
        assert!(!split.held_out.is_empty());
    }
}
