//! Names of tools of servers: `mcp__<server>__<tool>`, in the letters and the length that every provider takes, each once.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Word by which configurations name the tools of all servers.
pub(super) const GROUP: &str = "group:mcp";
/// Longest name that every provider takes.
pub(super) const MAX_NAME: usize = 64;
/// Longest name of a server in it.
pub(super) const MAX_SERVER: usize = 24;

/// The names of the servers so far.
#[derive(Default)]
pub(super) struct Servers(BTreeSet<String>);

impl Servers {
    /// What the names of a server's tools begin with, without the last underscores.
    pub(super) fn prefix(&mut self, name: &str) -> String {
        let server = unique(name, MAX_SERVER, |name| self.0.insert(name.to_owned()));
        format!("mcp__{server}")
    }
}

/// The names of a server's tools so far.
pub(super) struct Tools<'a> {
    prefix: &'a str,
    taken: BTreeSet<String>,
}

impl<'a> Tools<'a> {
    pub(super) fn of(prefix: &'a str) -> Self {
        Self {
            prefix,
            taken: BTreeSet::new(),
        }
    }

    /// The name of a tool for models.
    pub(super) fn name(&mut self, tool: &str) -> String {
        let room = MAX_NAME - self.prefix.len() - 2;
        let name = unique(tool, room, |name| self.taken.insert(name.to_owned()));
        format!("{}__{name}", self.prefix)
    }
}

/// `name` in letters that are allowed, at most `room` of them; with a piece of its hash where it is too long or taken.
fn unique(name: &str, room: usize, mut take: impl FnMut(&str) -> bool) -> String {
    let allowed = |c: char| {
        let is_plain = c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if is_plain { c } else { '_' }
    };
    let plain: String = name.chars().map(allowed).collect();
    if !plain.is_empty() && plain.len() <= room && take(&plain) {
        return plain;
    }
    // The same name twice gets a number into its hash, so this ends.
    (0_u64..)
        .map(|count| {
            let hash = Sha256::digest(format!("{name}\0{count}"));
            let hash: String = hash.iter().take(4).map(|b| format!("{b:02x}")).collect();
            let start = &plain[..plain.len().min(room - hash.len() - 1)];
            format!("{start}_{hash}")
        })
        .find(|name| take(name))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_and_unique() {
        let mut servers = Servers::default();
        assert_eq!(servers.prefix("github"), "mcp__github");
        assert_eq!(servers.prefix("my files"), "mcp__my_files");
        let again = servers.prefix("my.files");
        assert!(again.starts_with("mcp__my_files_") && again.len() == "mcp__my_files_".len() + 8);
        let most = "s".repeat(MAX_SERVER);
        assert_eq!(servers.prefix(&most), format!("mcp__{most}"));
        let longest = servers.prefix(&"s".repeat(MAX_SERVER + 1));
        assert_eq!(longest.len(), "mcp__".len() + MAX_SERVER);

        let mut tools = Tools::of(&longest);
        let room = MAX_NAME - longest.len() - 2;
        let most = "t".repeat(room);
        assert_eq!(tools.name(&most), format!("{longest}__{most}"));
        let mut seen = BTreeSet::new();
        for tool in [
            "a.b",
            "a b",
            "a_b",
            "a_b",
            "",
            "é",
            &"t".repeat(room + 1),
            &most,
        ] {
            let name = tools.name(tool);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            assert!(
                name.len() <= MAX_NAME && name.chars().all(is_plain),
                "{name}"
            );
            assert!(name.starts_with(&format!("{longest}__")), "{name}");
            assert!(seen.insert(name.clone()), "{name}");
        }
    }
}
