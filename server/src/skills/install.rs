//! How to get what a skill needs, as `skills.status` offers it.

use openclaw_protocol::types::{SkillInstallKind, SkillInstallOption};

use super::head::Install;
use super::needs::Machine;
use crate::config::SkillsInstall;

/// What installs Homebrew's formulas.
const BREW: &str = "brew";

/// The option to offer: the preferred one of those for this operating system, or all where all are downloads.
pub(super) fn options(
    ways: &[Install],
    settings: &SkillsInstall,
    machine: &Machine<'_>,
) -> Vec<SkillInstallOption> {
    let fitting = ways.iter().enumerate();
    let fitting = fitting.filter(|(_, way)| machine.is_one_of(&way.os));
    let mut known: Vec<SkillInstallOption> = fitting
        .filter_map(|(place, way)| option(place, way, settings))
        .collect();
    if known
        .iter()
        .all(|way| way.kind == SkillInstallKind::Download)
    {
        return known;
    }
    let brew_first = settings.prefer_brew && machine.has(BREW);
    let rank = |kind: &SkillInstallKind| match kind {
        SkillInstallKind::Brew if brew_first => 0,
        SkillInstallKind::Uv => 1,
        SkillInstallKind::Node => 2,
        SkillInstallKind::Brew => 3,
        SkillInstallKind::Go => 4,
        SkillInstallKind::Download => 5,
    };
    known.sort_by_key(|way| rank(&way.kind));
    known.truncate(1);
    known
}

/// None for a way of a kind that is not known.
fn option(place: usize, way: &Install, settings: &SkillsInstall) -> Option<SkillInstallOption> {
    let word = way.kind.as_deref()?;
    let kind: SkillInstallKind = word.parse().ok()?;
    let label = way.label.clone().unwrap_or_else(|| {
        let (what, by) = match kind {
            SkillInstallKind::Brew => (&way.formula, BREW),
            SkillInstallKind::Node => (&way.package, settings.node_manager.as_str()),
            SkillInstallKind::Go => (&way.module, "go"),
            SkillInstallKind::Uv => (&way.package, "uv"),
            SkillInstallKind::Download => (&way.url, "download"),
        };
        match what {
            Some(what) => format!("Install {what} ({by})"),
            None => format!("Install ({by})"),
        }
    });
    let id = way.id.clone().unwrap_or_else(|| format!("{word}-{place}"));
    Some(SkillInstallOption::new(id, kind, label, way.bins.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Environment;
    use serde_json::{Value, json};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_way_is_offered_or_all_downloads() {
        let dir = tempfile::tempdir().unwrap();
        let brew = dir.path().join(BREW);
        std::fs::write(&brew, "").unwrap();
        std::fs::set_permissions(brew, std::fs::Permissions::from_mode(0o755)).unwrap();
        let with_brew = dir.path().to_str().unwrap();
        let ways = json!([
            {"kind": "go", "module": "m"}, {"id": "b", "kind": "brew", "formula": "f", "bins": ["x"]},
            {"kind": "node", "package": "p"}, {"kind": "apt"}, {"kind": "uv", "package": "u", "os": ["darwin"]}
        ]);
        let downloads =
            json!([{"kind": "download", "url": "http://u"}, {"kind": "download", "label": "L"}]);
        for (ways, settings, path, shown) in [
            (&ways, json!({}), with_brew, &["b: Install f (brew)"][..]),
            (
                &ways,
                json!({"preferBrew": false, "nodeManager": "pnpm"}),
                with_brew,
                &["node-2: Install p (pnpm)"],
            ),
            (&ways, json!({}), "", &["node-2: Install p (npm)"]),
            (
                &downloads,
                json!({}),
                "",
                &["download-0: Install http://u (download)", "download-1: L"],
            ),
            (
                &json!([{"kind": "brew"}]),
                json!({}),
                "",
                &["brew-0: Install (brew)"],
            ),
            (&json!([{"kind": "apt"}, {}]), json!({}), "", &[]),
        ] {
            let read: Vec<Install> = serde_json::from_value(ways.clone()).unwrap();
            let settings: SkillsInstall = serde_json::from_value(settings).unwrap();
            let environment = Environment::new("/home/ann", [("PATH", path)]);
            let machine = Machine {
                os: "linux",
                environment: &environment,
                document: &Value::Null,
            };
            let found = options(&read, &settings, &machine).into_iter();
            let found: Vec<String> = found
                .map(|way| format!("{}: {}", way.id, way.label))
                .collect();
            assert_eq!(found, shown, "{ways}");
        }
    }
}
