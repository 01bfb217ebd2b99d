//! What a model is told before the conversation.

use crate::config::Agent;
use crate::skills::ToldSkill;
use crate::text::given;

/// The system prompt of a turn: who the agent is, if it is configured, the files of its workspace (name and text), the
/// skills that it can use, and what this turn adds.
pub(super) fn system(
    agent: Option<&Agent>,
    files: &[(&str, String)],
    skills: &[ToldSkill],
    extra: Option<&str>,
) -> String {
    let identity = agent.map(|agent| &agent.identity);
    let name = given(identity.and_then(|identity| identity.name.as_deref()));
    let theme = given(identity.and_then(|identity| identity.theme.as_deref()));
    let mut prompt = match name {
        Some(name) => format!("You are {name}, a personal assistant."),
        None => "You are a personal assistant.".to_owned(),
    };
    prompt.push_str(" People reach you through OpenClaw, a gateway on a machine of their own.");
    if let Some(theme) = theme {
        prompt.push_str(&format!(" Your character: {theme}."));
    }
    if !files.is_empty() {
        prompt.push_str(
            "\n\nThese files of your workspace say who you are, for whom you work and how.",
        );
        for (name, text) in files {
            prompt.push_str(&format!("\n\n## {name}\n\n{text}"));
        }
    }
    if !skills.is_empty() {
        prompt.push_str(
            "\n\nSkills: when one of these fits what is asked, read its file before you answer, and do as it says.",
        );
        for skill in skills {
            let ToldSkill {
                name,
                description,
                path,
            } = skill;
            prompt.push_str(&format!("\n- {name} ({path}): {description}"));
        }
    }
    if let Some(extra) = extra.map(str::trim).filter(|extra| !extra.is_empty()) {
        prompt.push_str("\n\n");
        prompt.push_str(extra);
    }
    prompt
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prompts() {
        let agents = json!([{"id": "main", "identity": {"name": "Maia", "theme": "helper"}}, {"id": "ops", "identity": {"name": " "}}]);
        let agents: Vec<Agent> = serde_json::from_value(agents).unwrap();
        let place = " People reach you through OpenClaw, a gateway on a machine of their own.";
        for (agent, extra, prompt) in [
            (
                Some(&agents[0]),
                None,
                format!("You are Maia, a personal assistant.{place} Your character: helper."),
            ),
            (
                Some(&agents[1]),
                Some(" "),
                format!("You are a personal assistant.{place}"),
            ),
            (
                None,
                Some("Be brief. "),
                format!("You are a personal assistant.{place}\n\nBe brief."),
            ),
        ] {
            assert_eq!(system(agent, &[], &[], extra), prompt);
        }
        let files = [
            ("SOUL.md", "Be kind.".to_owned()),
            ("USER.md", "Ann".to_owned()),
        ];
        let told = "These files of your workspace say who you are, for whom you work and how.\n\n## SOUL.md\n\nBe kind.\n\n## USER.md\n\nAnn\n\nBe brief.";
        let prompt = format!("You are a personal assistant.{place}\n\n{told}");
        assert_eq!(system(None, &files, &[], Some("Be brief.")), prompt);
        let skill = |name: &str| ToldSkill {
            name: name.into(),
            description: format!("About {name}."),
            path: format!("skills/{name}/SKILL.md"),
        };
        let told = "Skills: when one of these fits what is asked, read its file before you answer, and do as it says.\n- gh (skills/gh/SKILL.md): About gh.\n- memo (skills/memo/SKILL.md): About memo.\n\nBe brief.";
        let prompt = format!("You are a personal assistant.{place}\n\n{told}");
        let skills = [skill("gh"), skill("memo")];
        assert_eq!(system(None, &[], &skills, Some("Be brief.")), prompt);
    }
}
