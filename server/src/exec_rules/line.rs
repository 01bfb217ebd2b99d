//! Commands as lines, and lines as commands.
//!
//! Only scripts whose every program can be told are taken apart: plain words, joined by `|`, `&&`, `||`, `;` and line
//! ends. Whatever else a shell can do is refused, not guessed at: it would run what nobody has allowed.

/// Longest script that is looked at. Scripts of agents are a few lines; one beyond this needs a person anyway.
pub const MAX_SCRIPT_BYTES: usize = 16 * 1024;

/// Where a shell has to be: a file of that name elsewhere may be anything.
const SHELL_DIRS: &[&str] = &["/bin", "/usr/bin"];

/// Shells whose script is judged instead of the shell itself.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ksh"];

/// Words that make a shell do something else than run the program of that name, or run later ones elsewhere.
const SHELL_WORDS: &[&str] = &[
    "!", ".", ":", "[[", "alias", "bg", "builtin", "case", "cd", "chdir", "command", "coproc",
    "do", "done", "elif", "else", "esac", "eval", "exec", "exit", "export", "fg", "fi", "for",
    "function", "if", "in", "popd", "pushd", "return", "select", "set", "source", "then", "time",
    "trap", "unalias", "unset", "until", "while",
];

/// Characters that may have a meaning for the shell wherever they stand outside quotes.
const SPECIAL: &str = "<>(){}$`!#&\\~=[]*?\0";

/// Those that keep a meaning inside double quotes.
const SPECIAL_QUOTED: &str = "$`\\!\0";

/// A command as a line for people: arguments with blanks or quotes stand in double quotes.
#[must_use]
pub fn command_line(argv: &[String]) -> String {
    let shown: Vec<String> = argv
        .iter()
        .map(|word| {
            let word = word.trim();
            if word.is_empty() {
                "\"\"".to_owned()
            } else if word.contains(|c: char| c.is_whitespace() || c == '"') {
                format!("\"{}\"", word.replace('"', "\\\""))
            } else {
                word.to_owned()
            }
        })
        .collect();
    shown.join(" ")
}

/// The script, if the command is a shell of the system that runs nothing but it.
#[must_use]
pub fn script_of(argv: &[String]) -> Option<&str> {
    let [shell, flag, script] = argv else {
        return None;
    };
    let (dir, name) = shell.rsplit_once('/')?;
    let is_shell = SHELL_DIRS.contains(&dir) && SHELLS.contains(&name);
    (is_shell && matches!(flag.as_str(), "-c" | "-lc")).then_some(script)
}

/// The commands that a script runs, each as its words; `None` when that cannot be told for certain.
#[must_use]
pub fn simple_commands(script: &str) -> Option<Vec<Vec<String>>> {
    if script.len() > MAX_SCRIPT_BYTES {
        return None;
    }
    let mut commands = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = script.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        other if SPECIAL_QUOTED.contains(other) => return None,
                        other => word.push(other),
                    }
                }
            }
            ';' | '\n' | '|' | '&' => {
                let doubled = chars.next_if_eq(&next).is_some();
                // `&` alone runs in the background, `;;` belongs to a case.
                if (next == '&' && !doubled) || (next == ';' && doubled) {
                    return None;
                }
                words.extend(word.take());
                let ends_nothing = words.is_empty();
                if ends_nothing && next != '\n' {
                    return None;
                }
                if !ends_nothing {
                    commands.push(std::mem::take(&mut words));
                }
            }
            // In arguments these can only make more arguments, never another program.
            '*' | '?' | '=' | '~' | '[' | ']' if !words.is_empty() => {
                word.get_or_insert_default().push(next);
            }
            other if SPECIAL.contains(other) || other.is_control() => return None,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word.take());
    if !words.is_empty() {
        commands.push(words);
    }
    let is_plain = |words: &Vec<String>| {
        words
            .first()
            .is_some_and(|first| !first.is_empty() && !SHELL_WORDS.contains(&first.as_str()))
    };
    (!commands.is_empty() && commands.iter().all(is_plain)).then_some(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn lines_for_people() {
        let check = |argv: &[&str], line: &str| assert_eq!(command_line(&words(argv)), line);
        check(
            &["/bin/sh", "-c", "echo from-node"],
            "/bin/sh -c \"echo from-node\"",
        );
        check(
            &["echo", "", " a ", "say \"x\""],
            "echo \"\" a \"say \\\"x\\\"\"",
        );
    }

    #[test]
    fn scripts_of_shells() {
        let check =
            |argv: &[&str], script: Option<&str>| assert_eq!(script_of(&words(argv)), script);
        check(&["/bin/sh", "-c", "ls"], Some("ls"));
        check(&["/usr/bin/bash", "-lc", "ls"], Some("ls"));
        check(&["bash", "-lc", "ls"], None);
        check(&["/tmp/sh", "-c", "ls"], None);
        check(&["/bin/sh", "-c", "ls", "name"], None);
        check(&["/bin/sh", "-x", "ls"], None);
        check(&["/usr/bin/python3", "-c", "x"], None);
    }

    #[test]
    fn plain_scripts_are_taken_apart() {
        let check = |script: &str, expected: &[&[&str]]| {
            let expected: Vec<_> = expected.iter().map(|&command| words(command)).collect();
            assert_eq!(simple_commands(script), Some(expected), "{script}");
        };
        check("ls", &[&["ls"]]);
        check(
            "  ls -la\t'a b' \"c'd\" e\"\"f ",
            &[&["ls", "-la", "a b", "c'd", "ef"]],
        );
        check(
            "cat a | grep -v b && echo c || echo d; pwd\n\nid\n",
            &[
                &["cat", "a"],
                &["grep", "-v", "b"],
                &["echo", "c"],
                &["echo", "d"],
                &["pwd"],
                &["id"],
            ],
        );
        check(
            "ls *.rs ~/x a=b [c] d?",
            &[&["ls", "*.rs", "~/x", "a=b", "[c]", "d?"]],
        );
        check("'my tool' x", &[&["my tool", "x"]]);
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for script in [
            "",
            " ",
            ";",
            "ls;",
            "; ls",
            "| ls",
            "ls |",
            "ls && ",
            "a;;b",
            "ls &",
            "a & b",
            "ls > x",
            "ls < x",
            "ls 2>&1",
            "$X",
            "ls $X",
            "ls \"$X\"",
            "`id`",
            "ls \"`id`\"",
            "ls $(id)",
            "(ls)",
            "{ ls; }",
            "x() { ls; }",
            "A=b ls",
            "'ls",
            "\"ls",
            "ls \\\n x",
            "l\\s",
            "ls # x",
            "if true",
            "eval x",
            ". x",
            "! ls",
            "*",
            "~/x",
            "'' x",
            "ls \0",
            "time ls",
            "ls \u{7}",
            "ls \r\n id",
            "command ls",
            "\"a\\b\"",
        ] {
            // A trailing operator leaves an empty command, which is refused except after a line end or `;`.
            let refused = simple_commands(script).is_none();
            let trailing = matches!(script, "ls;" | "ls |" | "ls && ");
            assert!(
                refused || trailing,
                "{script:?}: {:?}",
                simple_commands(script)
            );
        }
        assert!(simple_commands(&"a".repeat(MAX_SCRIPT_BYTES)).is_some());
        assert!(simple_commands(&"a".repeat(MAX_SCRIPT_BYTES + 1)).is_none());
    }

    proptest::proptest! {
        /// A shell that splits the same script must come to the same words: quoting each word gives them back.
        #[test]
        fn quoted_words_come_back(argv in proptest::collection::vec("[a-zA-Z0-9 \"$`;|&<>*?#~=(){}!\\\\]{1,8}", 1..5)) {
            let script: Vec<String> = argv.iter().map(|word| format!("'{word}'")).collect();
            let commands = simple_commands(&script.join(" "));
            if SHELL_WORDS.contains(&argv[0].as_str()) {
                proptest::prop_assert_eq!(commands, None);
            } else {
                proptest::prop_assert_eq!(commands, Some(vec![argv]));
            }
        }

        #[test]
        fn no_script_makes_it_panic(script in "\\PC{0,60}") {
            let _ = simple_commands(&script);
        }
    }
}
