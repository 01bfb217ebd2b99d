//! Commands as lines, and lines as commands.
//!
//! Only scripts whose every program can be told are taken apart: plain words, joined by `|`, `&&`, `||`, `;` and line
//! ends. Whatever else a shell can do is refused, not guessed at: it would run what nobody has allowed.

/// Longest script that is looked at. Scripts of agents are a few lines; one beyond this needs a person anyway.
pub const MAX_SCRIPT_BYTES: usize = 16 * 1024;

/// Where a shell has to be: a file of that name elsewhere may be anything.
const SHELL_DIRS: &[&str] = &["/bin", "/usr/bin"];

/// Shells whose script says what they run.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ksh"];

/// Those whose script is judged instead of the shell itself. The others have too many words of their own.
const PLAIN_SHELLS: &[&str] = &["sh", "bash", "dash"];

/// Words that make a shell do something else than run the program of that name: its grammar, and those of its builtins
/// that run their arguments, evaluate them (`test -v 'a[$(id)]'`), or change what later words mean (`printf -v PATH`).
/// They are refused even where a program of that name is allowed, since the shell would not run it. The words of ksh are
/// among them, for it may be installed as `sh`.
const SHELL_WORDS: &str = "\
    ! . : [ [[ ]] alias autoload bg bind break builtin caller case cd chdir command compgen complete compopt \
    continue coproc declare dirs disown do done elif else enable enum esac eval exec exit export fc fg fi float \
    for function functions getopts hash help hist history if in integer jobs kill let local logout mapfile \
    nameref newgrp popd print printf pushd read readarray readonly return select set shift shopt source suspend \
    test then time times trap type typeset ulimit umask unalias unset until wait whence while";

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
            // Not what else Unicode counts as blank: a shell would run it as part of a name.
            let word = word.trim_matches(|c: char| c.is_ascii_whitespace());
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

/// Whether the script of this shell (as [`script_of`] found it) may be taken apart.
#[must_use]
pub fn is_plain_shell(argv: &[String]) -> bool {
    let name = argv.first().and_then(|shell| shell.rsplit('/').next());
    name.is_some_and(|name| PLAIN_SHELLS.contains(&name))
}

fn is_shell_word(word: &str) -> bool {
    SHELL_WORDS
        .split_ascii_whitespace()
        .any(|known| known == word)
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
    // The shell would ask for the other half of the script after `|`, `||` and `&&`.
    let mut is_open = false;
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
                    is_open = matches!(next, '|' | '&');
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
    } else if is_open {
        return None;
    }
    let is_plain = |words: &Vec<String>| {
        words
            .first()
            .is_some_and(|first| !first.is_empty() && !is_shell_word(first))
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
        check(&["/bin/zsh", "-c", "ls"], Some("ls"));
        for (shell, is_plain) in [
            ("/bin/sh", true),
            ("/usr/bin/dash", true),
            ("/bin/zsh", false),
            ("/bin/ksh", false),
        ] {
            assert_eq!(
                is_plain_shell(&words(&[shell, "-c", "ls"])),
                is_plain,
                "{shell}"
            );
        }
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
        check("ls;", &[&["ls"]]);
        check("ls; \n", &[&["ls"]]);
        check("ls |\n wc", &[&["ls"], &["wc"]]);
        // What Unicode calls a blank is a letter to a shell.
        check("\u{a0}ls", &[&["\u{a0}ls"]]);
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for script in [
            "",
            " ",
            ";",
            "; ls",
            "| ls",
            "ls |",
            "ls | ",
            "ls |\n",
            "ls && ",
            "ls &&\n\n",
            "ls ||",
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
            "\u{b}ls",
            "\u{c}ls",
            // Builtins that run or evaluate their arguments, or change what later words mean.
            "printf -v 'a[$(id)0]' x",
            "printf -v PATH /evil\nls",
            "test -v 'a[$(id)]'",
            "'[' -v 'a[$(id)]' ]",
            "\"test\" x",
            "read x",
            "enable -f ./x y",
            "hash -p ./x ls; ls",
            "wait -p 'a[$(id)]'",
            "let 'a[$(id)]'",
            "declare 'a[$(id)]=x'",
            "mapfile -C id -c 1",
            "compgen -C id",
            "jobs -x id",
            "shopt -s expand_aliases",
            "ls | read x",
        ] {
            assert_eq!(simple_commands(script), None, "{script:?}");
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
            if is_shell_word(&argv[0]) {
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
