//! The schema of another time: a recorded bundle, or the schema directory of a commit. And recording one.
//!
//! Called by the `breaking` and `release` commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::emit::bundle::bundle;
use crate::model::Model;
use crate::source::Source;
use crate::{read, recorded};

/// Where bundles are recorded, relative to the project.
pub const RELEASED: &str = "schema/dist/released";

/// The bundle of the present schema, relative to the project.
const BUNDLE: &str = "schema/dist/protocol.schema.json";

/// Reads the schema that `against` names: a bundle file where there is such a file, otherwise a git
/// revision of the repository at `root`.
///
/// # Errors
/// A file that is no bundle; a revision that does not exist or has no schema.
pub fn model(root: &Path, against: &str) -> anyhow::Result<Model> {
    if Path::new(against).is_file() {
        let text =
            std::fs::read_to_string(against).with_context(|| format!("reading {against}"))?;
        let source = recorded::source(&text).with_context(|| format!("reading {against}"))?;
        return Ok(read::past_model(&source));
    }
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    unpack(root, against, folder.path())?;
    let source = Source::load_types(&folder.path().join("schema"))
        .with_context(|| format!("reading schema/ of {against}"))?;
    Ok(read::past_model(&source))
}

/// Writes `schema/` of a revision into `folder`.
fn unpack(root: &Path, revision: &str, folder: &Path) -> anyhow::Result<()> {
    if revision.starts_with('-') {
        bail!("`{revision}` is neither a file nor a git revision");
    }
    let mut archive = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["archive", "--format=tar", revision, "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting git")?;
    let Some(tar) = archive.stdout.take() else {
        bail!("git has no output");
    };
    let unpacked = Command::new("tar")
        .arg("-x")
        .arg("-C")
        .arg(folder)
        .stdin(tar)
        .stderr(Stdio::null())
        .status()
        .context("starting tar")?;
    let archived = archive.wait_with_output().context("waiting for git")?;
    if !archived.status.success() {
        let told = String::from_utf8_lossy(&archived.stderr);
        bail!(
            "`{revision}` is no file, and git cannot give schema/ of a revision of that name: {}",
            told.trim()
        );
    }
    if !unpacked.success() {
        bail!("tar could not unpack schema/ of {revision}");
    }
    Ok(())
}

/// Records the present bundle under the next free number. Returns the path relative to the project.
///
/// # Errors
/// Mistakes in the schema, a bundle that is not fresh, a folder that cannot be written.
pub fn release(root: &Path) -> anyhow::Result<String> {
    let model = crate::read_schema(&root.join("schema"))?;
    let text = format!("{:#}\n", bundle(&model));
    let committed = std::fs::read_to_string(root.join(BUNDLE)).unwrap_or_default();
    if committed != text {
        bail!("{BUNDLE} does not match schema/: run `cargo run -p codegen` first");
    }
    let folder = root.join(RELEASED);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {RELEASED}"))?;
    let number = match newest(root)? {
        Some((_, path)) if std::fs::read_to_string(&path).is_ok_and(|last| last == text) => {
            bail!("{} is the same already", path.display());
        }
        Some(((version, number), _)) if version == model.version => number + 1,
        _ => 1,
    };
    let name = format!("{RELEASED}/{}.{number}.json", model.version);
    std::fs::write(root.join(&name), text).with_context(|| format!("writing {name}"))?;
    Ok(name)
}

/// Version and number of a recorded bundle.
type Mark = (u64, u64);

/// The newest recorded bundle, by version and number in its name; `None` before the first.
///
/// # Errors
/// A folder that cannot be read, and a name in it that is not `<version>.<number>.json`.
pub fn newest(root: &Path) -> anyhow::Result<Option<(Mark, PathBuf)>> {
    let folder = root.join(RELEASED);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {RELEASED}")),
    };
    let mut newest = None;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {RELEASED}"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mark = name
            .strip_suffix(".json")
            .and_then(|stem| stem.split_once('.'))
            .and_then(|(version, number)| Some((version.parse().ok()?, number.parse().ok()?)));
        let Some(mark) = mark else {
            bail!(
                "{RELEASED}/{name} is no recorded bundle: their names are <version>.<number>.json"
            );
        };
        if newest.as_ref().is_none_or(|(known, _)| mark > *known) {
            newest = Some((mark, path));
        }
    }
    Ok(newest)
}
