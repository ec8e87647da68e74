//! Sizes of files as people write them. The challenge counts decimal megabytes; people who counted binary ones lost
//! records over it, so binary units are refused with the number that they would have been.

/// A number of bytes: digits with an optional decimal part and `B`, `kB`, `MB` or `GB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let (number, unit) = (text[..split].replace('_', ""), text[split..].trim());
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 3,
        "m" | "mb" => 6,
        "g" | "gb" => 9,
        binary @ ("kib" | "mib" | "gib") => return Err(binary_unit(&number, binary)),
        _ => return Err(format!("unknown unit `{unit}`: expected B, kB, MB or GB")),
    };
    decimal(&number, power).ok_or_else(|| format!("`{text}`: expected a whole number of bytes"))
}

/// `number · 10^power`, if that is a whole number.
fn decimal(number: &str, power: usize) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > power || fraction.contains('.') {
        return None;
    }
    format!("{whole}{fraction:0<power$}").parse().ok()
}

fn binary_unit(number: &str, unit: &str) -> String {
    let power = match unit {
        "kib" => 10,
        "mib" => 20,
        _ => 30,
    };
    let hint = number.parse::<f64>().map_or_else(
        |_| String::new(),
        |n| format!(": that would be {:.0} bytes", (n * f64::from(1u32 << power)).floor()),
    );
    format!("the cap is in decimal bytes, binary units are refused{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_and_exact() {
        for (text, value) in [
            ("15.95MB", 15_950_000),
            ("16_000_000", 16_000_000),
            ("0.1 GB", 100_000_000),
            ("512kB", 512_000),
            ("15.950000MB", 15_950_000),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn binary_units_fractions_of_bytes_and_words_are_refused() {
        let error = bytes("15.95MiB").expect_err("binary");
        assert!(error.contains("16724787"), "{error}");
        for text in ["", ".", "MB", "1.5", "1.0000001MB", "1.2.3MB", "-3", "16 MBit", "99999999999999999999"]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
