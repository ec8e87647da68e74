//! Tables of measurements as Markdown or CSV. JSON is the commands' own, with numbers as numbers.

use clap::ValueEnum;
use comfy_table::Table;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A Markdown table.
    Md,
    /// JSON, with more digits and columns.
    Json,
    /// Comma-separated values.
    Csv,
}

/// The table as Markdown.
pub fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN).set_header(header);
    rows.iter().for_each(|row| {
        table.add_row(row);
    });
    table.to_string()
}

/// The table as comma-separated values; a cell with a comma, quote or line break is quoted (RFC 4180).
pub fn csv(header: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let lines = std::iter::once(&header).chain(rows);
    let lines = lines.map(|row| row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(","));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let rows = [vec!["llvmpipe (LLVM 15, 256 bits)".to_owned(), "a \"b\"".to_owned(), "1".to_owned()]];
        let expected = "x,y,z\n\"llvmpipe (LLVM 15, 256 bits)\",\"a \"\"b\"\"\",1";
        assert_eq!(csv(&["x", "y", "z"], &rows), expected);
    }
}
