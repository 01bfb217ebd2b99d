//! Hand-written sources that become part of a generated package.
//!
//! The TypeScript client is written in `client/typescript/src/`, where it is tested, and copied beside the
//! declarations that it imports, so that `generated/typescript/` is a whole package: one folder that a
//! browser is served, or that npm installs. Called by the `codegen` binary.

use std::path::Path;

use anyhow::{Context, bail};

use crate::Outputs;

/// Where the sources are.
const FROM: &str = "client/typescript/src";

/// Where the copies go.
const TO: &str = "generated/typescript";

/// Adds the copies of the project at `root`.
///
/// # Errors
/// A source that cannot be read, or that has the name of a generated file.
pub fn add(root: &Path, outputs: &mut Outputs) -> anyhow::Result<()> {
    let folder = std::fs::read_dir(root.join(FROM)).with_context(|| format!("reading {FROM}"))?;
    for entry in folder {
        let entry = entry.with_context(|| format!("reading {FROM}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (from, to) = (format!("{FROM}/{name}"), format!("{TO}/{name}"));
        let text =
            std::fs::read_to_string(entry.path()).with_context(|| format!("reading {from}"))?;
        if outputs.get(&to).is_some() {
            bail!("{from} would replace {to}, which is generated from schema/: rename it");
        }
        outputs.add(to, format!("{}{text}", head(&name, &from)));
    }
    Ok(())
}

/// The first line of a copy, in the comment of its language; JSON has none.
fn head(name: &str, from: &str) -> String {
    let words = format!("Copied by `cargo run -p codegen` from {from}. Do not edit.");
    match name.rsplit_once('.') {
        Some((_, "js" | "ts")) => format!("// {words}\n\n"),
        Some((_, "md")) => format!("<!-- {words} -->\n\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_say_where_they_come_from_and_replace_nothing() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join(FROM);
        assert!(add(root.path(), &mut Outputs::default()).is_err());
        std::fs::create_dir_all(&source).unwrap();
        for name in ["client.js", "README.md", "package.json"] {
            std::fs::write(source.join(name), "text\n").unwrap();
        }
        let mut outputs = Outputs::default();
        add(root.path(), &mut outputs).unwrap();
        for (name, text) in [
            (
                "client.js",
                "// Copied by `cargo run -p codegen` from client/typescript/src/client.js. Do not edit.\n\ntext\n",
            ),
            (
                "README.md",
                "<!-- Copied by `cargo run -p codegen` from client/typescript/src/README.md. Do not edit. -->\n\ntext\n",
            ),
            ("package.json", "text\n"),
        ] {
            assert_eq!(outputs.get(&format!("{TO}/{name}")), Some(text));
        }

        let mut outputs = Outputs::default();
        outputs.add(format!("{TO}/client.js"), String::new());
        let error = add(root.path(), &mut outputs).unwrap_err().to_string();
        assert!(error.contains("src/client.js would replace"), "{error}");
    }
}
