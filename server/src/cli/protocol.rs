//! `openclaw protocol`: where the protocol is documented, and the same documents as files. No gateway is needed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::print;
use crate::config::DEFAULT_PORT;
use crate::documents::Document;

/// `openclaw protocol export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Which document
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Directory to write to, made if it is missing; `-` for standard output, which takes one document
    #[arg(long, value_name = "DIR|-", default_value = ".")]
    out: PathBuf,
}

/// What is exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// protocol.schema.json: JSON Schema of every type
    Schema,
    /// openrpc.json: OpenRPC of every method
    Openrpc,
    /// asyncapi.json: AsyncAPI of every frame
    Asyncapi,
    /// protocol.html: the reference for people, one file
    Html,
    /// All four
    #[default]
    All,
}

impl Format {
    fn documents(self) -> &'static [Document] {
        match self {
            Format::Schema => &[Document::Schema],
            Format::Openrpc => &[Document::OpenRpc],
            Format::Asyncapi => &[Document::AsyncApi],
            Format::Html => &[Document::Page],
            Format::All => &Document::ALL,
        }
    }
}

/// Why nothing, or not everything, was exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// Several documents cannot be told apart on one stream.
    #[error(
        "standard output takes one document: add --format schema, openrpc, asyncapi or html, or name a directory with --out"
    )]
    SeveralToOutput,
    /// The directory cannot be had.
    #[error("cannot use {} as a directory: {source}; name another with --out", .directory.display())]
    Directory {
        /// As it was named.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}; name another directory with --out", .file.display())]
    File {
        /// Where it should be.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The document does not unpack.
    #[error("{file} in this program is damaged ({source}): install it again")]
    Damaged {
        /// The document's name.
        file: &'static str,
        /// What does not fit.
        source: io::Error,
    },
}

/// Says what there is.
pub(super) fn explain() -> ExitCode {
    print::line(&format!(
        "The protocol of this gateway, version {}. A running gateway serves it to everyone, and\n\
         `openclaw protocol export` writes the same bytes to files:\n",
        openclaw_protocol::protocol::VERSION
    ));
    let rows: Vec<Vec<String>> = Document::ALL
        .into_iter()
        .map(|document| {
            vec![
                format!("http://127.0.0.1:{DEFAULT_PORT}{}", document.path()),
                document.file().to_owned(),
                what(document).to_owned(),
            ]
        })
        .collect();
    print::table(
        &["served at (with your host and port)", "file", "what it is"],
        &rows,
    );
    print::line("");
    print::line("See `openclaw protocol export --help`.");
    ExitCode::SUCCESS
}

fn what(document: Document) -> &'static str {
    match document {
        Document::Schema => "every type, JSON Schema draft-07",
        Document::OpenRpc => "every method, OpenRPC 1.3",
        Document::AsyncApi => "every frame, AsyncAPI 3.0",
        Document::Page => "everything, for people",
    }
}

/// Writes the documents. Exit codes: 0 done, 1 it failed, 2 the command line is wrong.
pub(super) fn export(args: &ExportArgs) -> ExitCode {
    match carry_out(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::complain(&error.to_string());
            match error {
                ExportError::SeveralToOutput => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn carry_out(args: &ExportArgs) -> Result<(), ExportError> {
    let documents = args.format.documents();
    if args.out == Path::new("-") {
        let [document] = documents else {
            return Err(ExportError::SeveralToOutput);
        };
        print::bytes(&text(*document)?);
        return Ok(());
    }
    for file in write(documents, &args.out)? {
        print::line(&file.display().to_string());
    }
    Ok(())
}

/// Writes documents into a directory and gives the files.
fn write(documents: &[Document], directory: &Path) -> Result<Vec<PathBuf>, ExportError> {
    std::fs::create_dir_all(directory).map_err(|source| ExportError::Directory {
        directory: directory.to_owned(),
        source,
    })?;
    let mut files = Vec::new();
    for document in documents {
        let file = directory.join(document.file());
        std::fs::write(&file, text(*document)?).map_err(|source| ExportError::File {
            file: file.clone(),
            source,
        })?;
        files.push(file);
    }
    Ok(files)
}

fn text(document: Document) -> Result<Vec<u8>, ExportError> {
    document.unpack().map_err(|source| ExportError::Damaged {
        file: document.file(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(format: Format, out: &Path) -> ExportArgs {
        ExportArgs {
            format,
            out: out.to_owned(),
        }
    }

    #[test]
    fn files_hold_the_documents() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("new/folder");
        let files = write(&Document::ALL, &target).unwrap();
        assert_eq!(files.len(), Document::ALL.len());
        let check = |file: &PathBuf, document: Document| {
            let is_right = std::fs::read(file).unwrap() == document.unpack().unwrap();
            assert!(is_right, "{}", file.display());
        };
        for (file, document) in files.iter().zip(Document::ALL) {
            check(file, document);
        }
        // A second export replaces the first.
        std::fs::write(&files[0], "old").unwrap();
        write(&Document::ALL[..1], &target).unwrap();
        check(&files[0], Document::ALL[0]);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "here first").unwrap();
        std::fs::create_dir(dir.path().join("openrpc.json")).unwrap();
        for (format, out, word) in [
            (Format::All, Path::new("-"), "--format"),
            (Format::Html, file.as_path(), "file as a directory"),
            (Format::Html, &file.join("below"), "--out"),
            (Format::Openrpc, dir.path(), "openrpc.json"),
        ] {
            let error = carry_out(&args(format, out)).unwrap_err().to_string();
            assert!(
                error.contains(word),
                "{format:?} {}: {error}",
                out.display()
            );
        }
    }
}
