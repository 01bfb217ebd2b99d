//! Variables that programs of a node get: those of the node host, without what would change which code runs and without
//! its secrets, and those that the asker adds.

use std::collections::BTreeMap;

/// Directories of programs when the node host has no PATH of its own.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that make interpreters, shells, linkers and tools run other code. The asker cannot set them.
const BLOCKED: &[&str] = &[
    "BASH_ENV",
    "CDPATH",
    "EDITOR",
    "ENV",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "HOME",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "LESSOPEN",
    "NODE_OPTIONS",
    "PAGER",
    "PERL5LIB",
    "PERL5OPT",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "SHELL",
    "SHELLOPTS",
    "VISUAL",
    "ZDOTDIR",
];

/// The same by their beginnings.
const BLOCKED_PREFIXES: &[&str] = &["BASH_FUNC_", "DYLD_", "GIT_CONFIG", "LD_"];

/// Beginnings of our own variables; those with one of [`SECRET_WORDS`] are not for programs.
const OWN_PREFIXES: &[&str] = &["OPENCLAW_", "CLAWDBOT_"];

const SECRET_WORDS: &[&str] = &["TOKEN", "PASSWORD", "SECRET"];

/// Where programs are looked for.
#[must_use]
pub(super) fn path_of(variables: &BTreeMap<String, String>) -> &str {
    variables
        .get("PATH")
        .map(String::as_str)
        .filter(|path| !path.trim().is_empty())
        .unwrap_or(DEFAULT_PATH)
}

/// The node's own variables as programs may see them, with a PATH.
pub(super) fn own(process: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut own: BTreeMap<String, String> = process
        .iter()
        .filter(|(name, _)| !is_secret(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let absolute: Vec<&str> = parts(path_of(process))
        .filter(|part| part.starts_with('/'))
        .collect();
    let path = match absolute.is_empty() {
        true => DEFAULT_PATH.to_owned(),
        false => absolute.join(":"),
    };
    own.insert("PATH".to_owned(), path);
    own
}

/// Directories of a PATH. One that does not begin with `/` is another directory wherever a program runs (nothing and a
/// relative path), or is read differently by shells (`~`), so that what is judged would not be what runs.
fn parts(path: &str) -> std::str::Split<'_, char> {
    path.split(':')
}

/// `own` with what the asker adds. What it may not set is left out; PATH may only get more absolute directories in front.
pub(super) fn with(
    own: &BTreeMap<String, String>,
    added: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = own.clone();
    for (name, value) in added {
        if name == "PATH" {
            let value = value.trim();
            let goes_on = value.strip_suffix(path_of(own));
            if goes_on.is_some_and(|front| front.is_empty() || front.ends_with(':'))
                && parts(value).all(|part| part.starts_with('/'))
            {
                all.insert(name.clone(), value.to_owned());
            }
        } else if is_name(name) && !is_blocked(name) && !value.contains('\0') {
            all.insert(name.clone(), value.clone());
        }
    }
    all
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|next| next.is_ascii_alphanumeric() || next == '_')
}

fn is_blocked(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name == "PATH"
        || BLOCKED.contains(&name.as_str())
        || BLOCKED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || is_secret(&name)
}

fn is_secret(name: &str) -> bool {
    OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn programs_do_not_see_our_secrets() {
        let process = map(&[
            ("OPENCLAW_GATEWAY_TOKEN", "s"),
            ("CLAWDBOT_GATEWAY_PASSWORD", "s"),
            ("OPENCLAW_STATE_DIR", "/s"),
            ("LANG", "C"),
        ]);
        let expected = map(&[
            ("LANG", "C"),
            ("OPENCLAW_STATE_DIR", "/s"),
            ("PATH", DEFAULT_PATH),
        ]);
        assert_eq!(own(&process), expected);
    }

    #[test]
    fn the_own_path_keeps_absolute_directories() {
        for (path, kept) in [
            ("/usr/bin:/bin", "/usr/bin:/bin"),
            (":/usr/bin::rel:./x:~/b:/bin:", "/usr/bin:/bin"),
            (":.:rel", DEFAULT_PATH),
            ("", DEFAULT_PATH),
        ] {
            assert_eq!(path_of(&own(&map(&[("PATH", path)]))), kept, "{path}");
        }
    }

    #[test]
    fn what_an_asker_may_set() {
        let base = map(&[("PATH", "/usr/bin:/bin"), ("LANG", "C")]);
        let check = |name: &str, value: &str, expected: Option<&str>| {
            let all = with(&base, &map(&[(name, value)]));
            let got = all
                .get(name)
                .map(String::as_str)
                .filter(|got| base.get(name).map(String::as_str) != Some(*got));
            assert_eq!(got, expected, "{name}={value}");
        };
        check("LANG", "de", Some("de"));
        check("my_var1", "x", Some("x"));
        for name in [
            "LD_PRELOAD",
            "ld_preload",
            "DYLD_X",
            "NODE_OPTIONS",
            "BASH_ENV",
            "Env",
            "path",
            "1A",
            "",
            "A B",
            "A=B",
            "HOME",
        ] {
            check(name, "x", None);
        }
        check("X", "a\0b", None);
        check("OPENCLAW_GATEWAY_TOKEN", "x", None);
        check("PATH", "/opt/x:/usr/bin:/bin", Some("/opt/x:/usr/bin:/bin"));
        for path in [
            "/opt/x",
            "/opt/x/usr/bin:/bin",
            "/usr/bin:/bin:/opt/x",
            "",
            ":/usr/bin:/bin",
            "rel:/usr/bin:/bin",
            ".:/usr/bin:/bin",
            "~/b:/usr/bin:/bin",
            "/opt/x::/usr/bin:/bin",
            "/opt/x: /y:/usr/bin:/bin",
        ] {
            check("PATH", path, None);
        }
    }
}
