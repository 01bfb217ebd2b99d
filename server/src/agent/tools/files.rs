//! `read`, `write`, `edit`: text files of the workspace; pictures are read by being shown.

use serde::Deserialize;
use serde_json::Value;

use super::workspace::{FileError, Workspace};
use super::{MAX_OUTPUT, Output, Tool, arguments, pictures};
use crate::text::first_bytes;

#[derive(Deserialize)]
struct Read {
    #[serde(alias = "file_path")]
    path: String,
    /// First line, from 1.
    #[serde(default)]
    offset: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Write {
    #[serde(alias = "file_path")]
    path: String,
    content: String,
}

#[derive(Deserialize)]
struct Edit {
    #[serde(alias = "file_path")]
    path: String,
    #[serde(rename = "oldText", alias = "old_string")]
    old: String,
    #[serde(rename = "newText", alias = "new_string")]
    new: String,
}

/// Runs one of the three, away from the threads that carry runs.
/// `shared` are further folders that only `read` looks into.
pub(super) async fn call(
    workspace: Workspace,
    shared: Vec<Workspace>,
    tool: Tool,
    arguments: Value,
) -> Output {
    let done = tokio::task::spawn_blocking(move || match tool {
        Tool::Write => write(&workspace, &arguments),
        Tool::Edit => edit(&workspace, &arguments),
        _ => read(&workspace, &shared, &arguments),
    });
    match done.await {
        Ok(Ok(output) | Err(output)) => output,
        Err(error) => {
            tracing::error!(%error, "a file tool did not end well");
            Output::bad("The tool failed for an internal reason.")
        }
    }
}

fn failed(path: &str, error: &FileError) -> Output {
    Output::bad(format!("{}: {error}.", super::shorten(path)))
}

fn bytes_of(workspace: &Workspace, shared: &[Workspace], path: &str) -> Result<Vec<u8>, Output> {
    let mut bytes = workspace.read(path);
    // A relative path is one of the workspace.
    let mut others = shared.iter().filter(|_| path.trim().starts_with('/'));
    while let (Err(FileError::Outside), Some(other)) = (&bytes, others.next()) {
        bytes = other.read(path);
    }
    bytes.map_err(|error| failed(path, &error))
}

fn text_of(path: &str, bytes: Vec<u8>) -> Result<String, Output> {
    String::from_utf8(bytes)
        .map_err(|_| Output::bad(format!("{}: it is no text.", super::shorten(path))))
}

fn read(workspace: &Workspace, shared: &[Workspace], arguments: &Value) -> Result<Output, Output> {
    let Read {
        path,
        offset,
        limit,
    } = arguments::read(arguments)?;
    let bytes = bytes_of(workspace, shared, &path)?;
    if let Some(picture) = pictures::picture(&bytes) {
        let words = format!("A picture, {}, {} bytes.", picture.mime, bytes.len());
        return Ok(Output::good(words).showing([picture]));
    }
    let text = text_of(&path, bytes)?;
    let first = offset.unwrap_or(1).max(1);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    if first > lines.len().max(1) {
        return Err(Output::bad(format!(
            "{}: it has {} lines.",
            super::shorten(&path),
            lines.len()
        )));
    }
    let wanted = lines
        .iter()
        .skip(first - 1)
        .take(limit.unwrap_or(usize::MAX));
    let (mut shown, mut count) = (String::new(), 0);
    for line in wanted {
        if shown.len() + line.len() > MAX_OUTPUT {
            break;
        }
        shown.push_str(line);
        count += 1;
    }
    if count == 0
        && let Some(line) = lines.get(first - 1)
    {
        // One line alone is too long; its start is better than nothing, and the rest is out of reach of lines.
        shown = format!(
            "{}\n[line {first} is cut here; it has {} bytes]",
            first_bytes(line, MAX_OUTPUT),
            line.len()
        );
        count = 1;
    }
    let next = first + count;
    if next <= lines.len() {
        if !shown.ends_with('\n') {
            shown.push('\n');
        }
        shown.push_str(&format!(
            "[lines {first} to {} of {}; the next begins at offset {next}]",
            next - 1,
            lines.len()
        ));
    }
    Ok(Output::good(shown))
}

fn write(workspace: &Workspace, arguments: &Value) -> Result<Output, Output> {
    let Write { path, content } = arguments::read(arguments)?;
    workspace
        .write(&path, content.as_bytes())
        .map_err(|error| failed(&path, &error))?;
    Ok(Output::good(format!(
        "Wrote {} bytes to {}.",
        content.len(),
        super::shorten(&path)
    )))
}

fn edit(workspace: &Workspace, arguments: &Value) -> Result<Output, Output> {
    let Edit { path, old, new } = arguments::read(arguments)?;
    let shown = super::shorten(&path);
    if old.is_empty() {
        return Err(Output::bad("oldText is empty."));
    }
    let text = text_of(&path, bytes_of(workspace, &[], &path)?)?;
    // Counted with overlaps: which one is meant would be a guess.
    let first = text.find(&old);
    let last = text.rfind(&old);
    match (first, last) {
        (Some(first), Some(last)) if first == last => {
            let changed = [&text[..first], &new, &text[first + old.len()..]].concat();
            workspace
                .write(&path, changed.as_bytes())
                .map_err(|error| failed(&path, &error))?;
            Ok(Output::good(format!("Changed {shown}.")))
        }
        (None, _) => Err(Output::bad(format!(
            "{shown}: oldText does not occur in it."
        ))),
        _ => Err(Output::bad(format!(
            "{shown}: oldText occurs more than once; take more of what stands around it."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn world(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let workspace = Workspace::new(dir.path().to_owned());
        (dir, workspace)
    }

    async fn check(workspace: &Workspace, tool: Tool, arguments: Value, told: Result<&str, &str>) {
        let case = format!("{tool:?} {arguments}");
        let output = call(workspace.clone(), Vec::new(), tool, arguments).await;
        let told = match told {
            Ok(text) => Output::good(text),
            Err(text) => Output::bad(text),
        };
        assert_eq!(output, told, "{case}");
    }

    #[tokio::test]
    async fn reading() {
        let (_dir, files) = world(&[
            ("a", b"one\ntwo\nthree\n"),
            ("empty", b""),
            ("raw", b"\xff\xfe"),
            ("long", "ü".repeat(MAX_OUTPUT).as_bytes()),
        ]);
        let cases = [
            (json!({"path": "a"}), Ok("one\ntwo\nthree\n")),
            (json!({"file_path": "a", "offset": 3}), Ok("three\n")),
            (
                json!({"path": "a", "offset": 2, "limit": 1}),
                Ok("two\n[lines 2 to 2 of 3; the next begins at offset 3]"),
            ),
            (json!({"path": "a", "offset": 4}), Err("a: it has 3 lines.")),
            (json!({"path": "empty"}), Ok("")),
            (json!({"path": "raw"}), Err("raw: it is no text.")),
            (
                json!({"path": "../a"}),
                Err("../a: the path leads out of the workspace."),
            ),
            (json!({"path": "no"}), Err("no: there is no such file.")),
            (json!("{"), Err("The arguments are not a JSON object.")),
        ];
        for (arguments, told) in cases {
            check(&files, Tool::Read, arguments, told).await;
        }
        let (_dir, seen) = world(&[("shot.txt", pictures::PNG)]);
        let shot = json!({"path": "shot.txt"});
        let output = call(seen, Vec::new(), Tool::Read, shot).await;
        let words = format!("A picture, image/png, {} bytes.", pictures::PNG.len());
        assert_eq!(
            output,
            Output::good(words).showing(pictures::picture(pictures::PNG))
        );
        let long = call(
            files.clone(),
            Vec::new(),
            Tool::Read,
            json!({"path": "long"}),
        )
        .await;
        let cut = format!("[line 1 is cut here; it has {} bytes]", 2 * MAX_OUTPUT);
        assert!(long.text.ends_with(&cut) && long.text.len() == MAX_OUTPUT + 1 + cut.len());
    }

    #[tokio::test]
    async fn shared_folders_are_only_read() {
        let (_own, files) = world(&[("a", b"mine")]);
        let (dir, shared) = world(&[("skill", b"do this"), ("a", b"theirs")]);
        let path = |name: &str| json!({"path": dir.path().join(name), "content": "x"});
        for (tool, arguments, told) in [
            (Tool::Read, path("skill"), Ok("do this")),
            (Tool::Read, json!({"path": "a"}), Ok("mine")),
            (
                Tool::Read,
                json!({"path": "skill"}),
                Err("there is no such file"),
            ),
            (
                Tool::Read,
                json!({"path": "/etc/passwd"}),
                Err("leads out of the workspace"),
            ),
            (Tool::Read, path("../x"), Err("leads out of the workspace")),
            (
                Tool::Write,
                path("skill"),
                Err("leads out of the workspace"),
            ),
        ] {
            let output = call(files.clone(), vec![shared.clone()], tool, arguments.clone()).await;
            let (words, is_error) = match told {
                Ok(words) => (words, false),
                Err(words) => (words, true),
            };
            assert_eq!(output.is_error, is_error, "{arguments}: {}", output.text);
            assert!(output.text.contains(words), "{arguments}: {}", output.text);
        }
    }

    #[tokio::test]
    async fn long_files_come_in_parts() {
        let line = "x".repeat(1023) + "\n";
        let (_dir, files) = world(&[("a", line.repeat(MAX_OUTPUT / 1024 + 1).as_bytes())]);
        let first = call(files.clone(), Vec::new(), Tool::Read, json!({"path": "a"}))
            .await
            .text;
        let (text, hint) = first.split_at(MAX_OUTPUT);
        assert!(text.ends_with("x\n"));
        assert_eq!(hint, "[lines 1 to 48 of 49; the next begins at offset 49]");
        check(
            &files,
            Tool::Read,
            json!({"path": "a", "offset": 49}),
            Ok(&line),
        )
        .await;
    }

    #[tokio::test]
    async fn writing_and_editing() {
        let (dir, files) = world(&[("a", b"one two one")]);
        let cases = [
            (
                Tool::Write,
                json!({"path": "n/b", "content": "hi"}),
                Ok("Wrote 2 bytes to n/b."),
            ),
            (
                Tool::Write,
                json!({"path": "../b", "content": ""}),
                Err("../b: the path leads out of the workspace."),
            ),
            (
                Tool::Write,
                json!({"path": "b"}),
                Err("The arguments are not right: missing field `content`."),
            ),
            (
                Tool::Edit,
                json!({"path": "a", "oldText": "two", "newText": "2"}),
                Ok("Changed a."),
            ),
            (
                Tool::Edit,
                json!({"path": "a", "old_string": "2 ", "new_string": ""}),
                Ok("Changed a."),
            ),
            (
                Tool::Edit,
                json!({"path": "a", "oldText": "one", "newText": ""}),
                Err("a: oldText occurs more than once; take more of what stands around it."),
            ),
            (
                Tool::Edit,
                json!({"path": "a", "oldText": "four", "newText": ""}),
                Err("a: oldText does not occur in it."),
            ),
            (
                Tool::Edit,
                json!({"path": "a", "oldText": "", "newText": ""}),
                Err("oldText is empty."),
            ),
            (
                Tool::Edit,
                json!({"path": "no", "oldText": "a", "newText": ""}),
                Err("no: there is no such file."),
            ),
        ];
        for (tool, arguments, told) in cases {
            check(&files, tool, arguments, told).await;
        }
        let now = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((now("a").as_str(), now("n/b").as_str()), ("one one", "hi"));
    }
}
