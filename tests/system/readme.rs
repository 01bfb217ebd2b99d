//! Every command in the README and in `docs/` is one that exists.
//!
//! `openclaw …` lines are run with `--help` appended, so that a renamed flag or command is found; the two commands of
//! the first five minutes are run for real elsewhere (`first_minutes`, and this very test run).

use std::path::Path;

use openclaw_tests::Home;

#[tokio::test]
async fn commands_of_the_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("README.md")];
    for entry in std::fs::read_dir(root.join("docs")).expect("docs") {
        files.push(entry.expect("an entry").path());
    }
    let home = Home::new();
    let mut checked = 0;
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "md"))
    {
        let text = std::fs::read_to_string(file).expect("readable");
        for command in commands(&text) {
            let arguments = words(&command);
            let known: Vec<&str> = arguments
                .iter()
                .map(String::as_str)
                .skip_while(|word| word.contains('='))
                .collect();
            match known.first().copied() {
                Some("cargo") | Some("tests/run") | Some("git") | Some("cd") => {
                    check_project_command(&root, &known);
                    checked += 1;
                }
                Some(program) if program.ends_with("openclaw") => {
                    // Flags are checked by name: --help ends the parser before values are missed.
                    let mut help: Vec<&str> = known[1..].to_vec();
                    help.push("--help");
                    let ran = home.run(&help).await;
                    assert_eq!(
                        ran.code,
                        Some(0),
                        "{}: `{command}`\n{}",
                        file.display(),
                        ran.err
                    );
                    for flag in known[1..].iter().filter(|word| word.starts_with("--")) {
                        let name = flag.split('=').next().unwrap_or(flag);
                        assert!(
                            ran.out.contains(name),
                            "{}: `{command}`: {name} is no flag of it",
                            file.display()
                        );
                    }
                    checked += 1;
                }
                _ => {}
            }
        }
    }
    assert!(checked >= 5, "only {checked} commands were found");
}

/// Lines of fenced blocks marked `sh`.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut out = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = !inside && line == "```sh";
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            out.push(line.split(" #").next().unwrap_or(line).trim().to_owned());
        }
    }
    out
}

/// Words of a simple command line; quotes keep words together.
fn words(command: &str) -> Vec<String> {
    let (mut out, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (None, ' ') => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
            }
            (_, c) => word.push(c),
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

fn check_project_command(root: &Path, words: &[&str]) {
    match words {
        ["cargo", "run", rest @ ..] => {
            if let Some(i) = rest.iter().position(|word| *word == "-p") {
                let package = rest.get(i + 1).expect("a package");
                let manifest = std::fs::read_to_string(root.join("Cargo.lock")).expect("readable");
                assert!(
                    manifest.contains(&format!("name = \"{package}\"")),
                    "{package} is no package"
                );
            }
        }
        ["tests/run", ..] => assert!(root.join("tests/run").exists()),
        _ => {}
    }
}
