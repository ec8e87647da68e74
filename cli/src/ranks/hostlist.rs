//! Slurm's compressed lists of nodes, such as `rack[1-2]n[07-12,15],gpu3`.

/// The first node of a list, if it is one.
pub(super) fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.trim();
    while let Some(c) = rest.chars().next() {
        match c {
            ',' => break,
            '[' => {
                let (inside, after) = rest[1..].split_once(']')?;
                let first = inside.split([',', '-']).next()?;
                if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                host.push_str(first);
                rest = after;
            }
            c if c.is_ascii_alphanumeric() || "-._".contains(c) => {
                host.push(c);
                rest = &rest[1..];
            }
            _ => return None,
        }
    }
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_is_found_in_every_form_of_list() {
        for (list, first) in [
            ("node7", "node7"),
            ("node[01-04,7]", "node01"),
            ("node[3,5-6]", "node3"),
            ("gpu-a.example,gpu-b.example", "gpu-a.example"),
            ("rack[1-2]n[07-12,15],gpu3", "rack1n07"),
            ("n[001-128]-ib", "n001-ib"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(first), "{list}");
        }
        for bad in ["", ",a", "node[", "node[]", "node[a-b]", "no de", "n\u{e9}"] {
            assert_eq!(first_host(bad), None, "{bad}");
        }
    }
}
