//! Finding the program that a command means, and matching it against patterns of the allowlist.
//!
//! What is compared is where a program really is: directories are followed through symbolic links and `..`, so that
//! `/bin/ls` and `/usr/bin/ls` are one where `/bin` is a link, and no path gets past a pattern by a detour. The last
//! name is not followed: tools that are many programs in one file (busybox) would all be the same then.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name, the last part of the path.
    pub name: String,
    /// Where it is, with all directories resolved.
    pub path: PathBuf,
}

/// Finds `word` as a shell would: a path as it is, relative to `cwd`; a bare name in the directories of `path_env`.
/// `None` when nothing that can be executed is there. Blocks on disk.
#[must_use]
pub fn find_program(word: &str, cwd: &Path, path_env: &str) -> Option<Program> {
    if word.is_empty() {
        return None;
    }
    if word.contains('/') {
        return program_at(&cwd.join(word));
    }
    std::env::split_paths(path_env)
        // An empty or relative entry would mean whatever directory happens to be the current one.
        .filter(|dir| dir.is_absolute())
        .find_map(|dir| program_at(&dir.join(word)))
}

fn program_at(path: &Path) -> Option<Program> {
    let facts = fs::metadata(path).ok()?;
    if !facts.is_file() || facts.permissions().mode() & 0o111 == 0 {
        return None;
    }
    let path = settled(path)?;
    let name = path.file_name()?.to_str()?.to_owned();
    Some(Program { name, path })
}

/// The path with its directories resolved, its last name as it is. `None` when it has no name or no such directory.
fn settled(path: &Path) -> Option<PathBuf> {
    let name = match path.components().next_back()? {
        Component::Normal(name) => name,
        _ => return None,
    };
    Some(fs::canonicalize(path.parent()?).ok()?.join(name))
}

/// Does a pattern of the allowlist mean this program? Patterns are absolute paths or begin with `~`; `?` is one
/// character and `*` any number of them within a directory, `**` also across directories. Bare names match nothing:
/// they would allow a program of that name wherever it lies. Blocks on disk.
#[must_use]
pub fn matches(pattern: &str, program: &Program, home: &Path) -> bool {
    let pattern = pattern.trim();
    let expanded = match pattern.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(pattern),
    };
    if !expanded.is_absolute() {
        return false;
    }
    let (Some(pattern), Some(path)) = (expanded.to_str(), program.path.to_str()) else {
        return false;
    };
    let settled = settled_pattern(pattern);
    glob(settled.as_deref().unwrap_or(pattern), path)
}

/// A pattern whose part without wildcards leads to real directories.
fn settled_pattern(pattern: &str) -> Option<String> {
    let Some(wild) = pattern.find(['*', '?']) else {
        return settled(Path::new(pattern))?.to_str().map(str::to_owned);
    };
    let dir = pattern[..wild].rfind('/')?;
    let real = fs::canonicalize(&pattern[..=dir]).ok()?;
    let real = real.to_str()?;
    Some(format!("{}{}", real.trim_end_matches('/'), &pattern[dir..]))
}

/// Matches a whole text. Linear in the product of both lengths, whatever the pattern.
fn glob(pattern: &str, text: &str) -> bool {
    let tokens = tokens(pattern);
    let text: Vec<char> = text.chars().collect();
    // reach[i]: the tokens so far can match the first i characters.
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        match token {
            Token::One(wanted) => {
                for (i, &found) in text.iter().enumerate() {
                    next[i + 1] = reach[i] && found == wanted;
                }
            }
            Token::AnyOne => {
                for (i, &found) in text.iter().enumerate() {
                    next[i + 1] = reach[i] && found != '/';
                }
            }
            Token::Many { across } => {
                next[0] = reach[0];
                for (i, &found) in text.iter().enumerate() {
                    next[i + 1] = reach[i + 1] || (next[i] && (across || found != '/'));
                }
            }
        }
        reach = next;
    }
    reach[text.len()]
}

enum Token {
    One(char),
    AnyOne,
    Many { across: bool },
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(next) = chars.next() {
        tokens.push(match next {
            '?' => Token::AnyOne,
            '*' => {
                let mut across = false;
                while chars.next_if_eq(&'*').is_some() {
                    across = true;
                }
                Token::Many { across }
            }
            other => Token::One(other),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// `real/tool` and `real/sub/other` can be executed, `real/text` cannot; `link` leads to `real`.
    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("real/sub")).unwrap();
        for (name, mode) in [("tool", 0o755), ("sub/other", 0o755), ("text", 0o644)] {
            let path = root.join("real").join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink(root.join("real"), root.join("link")).unwrap();
        symlink(root.join("real/tool"), root.join("real/alias")).unwrap();
        (dir, root)
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let (_dir, root) = tree();
        let path_env = format!("::relative:{0}/none:{0}/link:{0}/real/sub", root.display());
        let check = |word: &str, expected: Option<&str>| {
            let found = find_program(word, &root.join("real/sub"), &path_env);
            let path = expected.map(|path| root.join(path));
            assert_eq!(found.map(|program| program.path), path, "{word}");
        };
        check("tool", Some("real/tool"));
        check("other", Some("real/sub/other"));
        check("text", None);
        check("sub", None);
        check("none", None);
        check("", None);
        check("./other", Some("real/sub/other"));
        check("../tool", Some("real/tool"));
        check("..", None);
        check(&format!("{}/link/tool", root.display()), Some("real/tool"));
        // The name that was asked for decides, not what it leads to.
        check("alias", Some("real/alias"));
    }

    #[test]
    fn patterns() {
        let (_dir, root) = tree();
        let program = find_program("../tool", &root.join("real/sub"), "").unwrap();
        let nested = find_program("other", &root, &format!("{}/real/sub", root.display())).unwrap();
        let check = |pattern: &str, program: &Program, expected: bool| {
            let pattern = pattern.replace('^', root.to_str().unwrap());
            assert_eq!(matches(&pattern, program, &root), expected, "{pattern}");
        };
        for pattern in [
            "^/real/tool",
            "^/link/tool",
            " ^/real/tool ",
            "^/real/sub/../tool",
            "~/real/tool",
            "~/link/*",
            "^/real/t??l",
            "^/*/tool",
            "^/**",
            "^/**/tool",
            "^/real/*ool*",
            "/**",
        ] {
            check(pattern, &program, true);
        }
        for pattern in [
            "",
            "tool",
            "*",
            "**",
            "real/tool",
            "^/real/TOOL",
            "^/real/too",
            "^/real/alias",
            "^/*",
            "^/real/tool?",
            "~",
            "~root/tool",
            "^/real/**/tool/x",
        ] {
            check(pattern, &program, false);
        }
        check("^/real/*", &nested, false);
        check("^/real/**", &nested, true);
        check("^/link/*/other", &nested, true);
    }

    #[test]
    fn a_detour_does_not_get_past_a_pattern() {
        let (_dir, root) = tree();
        let detour = format!("{}/real/sub/../../real/tool", root.display());
        let program = find_program(&detour, Path::new("/"), "").unwrap();
        let pattern = format!("{}/real/sub/**", root.display());
        assert!(!matches(&pattern, &program, Path::new("/")));
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_without_wildcards_is_equality(text in "[a-z/.]{0,12}", other in "[a-z/.]{0,12}") {
            proptest::prop_assert!(glob(&text, &text));
            proptest::prop_assert_eq!(glob(&text, &other), text == other);
            let everything = format!("{text}**");
            let longer = format!("{text}{other}");
            proptest::prop_assert!(glob(&everything, &longer));
        }
    }
}
