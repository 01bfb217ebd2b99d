//! `${NAME}` in the strings of a configuration, and the variables that its `env` block adds.

use serde_json::Value;

use super::document::Step;
use crate::paths::Environment;

/// Adds the variables of the document's `env` block to `environment`: those under `env.vars`, and text members of
/// `env` itself. A variable that is set already keeps its value.
pub(super) fn apply_env_block(document: &Value, environment: &mut Environment) {
    let Some(Value::Object(block)) = document.get("env") else {
        return;
    };
    let nested = match block.get("vars") {
        Some(Value::Object(nested)) => Some(nested),
        _ => None,
    };
    for (name, value) in nested.into_iter().flatten().chain(block) {
        if let Value::String(value) = value
            && !name.is_empty()
            && !value.is_empty()
            && environment.get(name).is_none()
        {
            environment.variables.insert(name.clone(), value.clone());
        }
    }
}

/// Replaces `${NAME}` in every string by the variable's value; `$${NAME}` stands for the text `${NAME}`. Names are
/// upper case, anything else between the braces is left as it is. Returns the places of values that name a variable
/// which is not set, left as they are, with the variable's name.
pub(super) fn substitute(
    document: &mut Value,
    environment: &Environment,
) -> Vec<(Vec<Step>, String)> {
    let mut missing = Vec::new();
    walk(document, &mut Vec::new(), environment, &mut missing);
    missing
}

fn walk(
    value: &mut Value,
    path: &mut Vec<Step>,
    environment: &Environment,
    missing: &mut Vec<(Vec<Step>, String)>,
) {
    match value {
        Value::String(text) => match expand(text, environment) {
            Ok(Some(expanded)) => *text = expanded,
            Ok(None) => {}
            Err(name) => missing.push((path.clone(), name)),
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                walk(item, path, environment, missing);
                path.pop();
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                path.push(Step::Key(key.clone()));
                walk(member, path, environment, missing);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with its variables replaced, `None` when there are none; the name of the first that is not set.
fn expand(text: &str, environment: &Environment) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some((name, after)) = rest.strip_prefix("$${").and_then(variable) {
            expanded.push_str("${");
            expanded.push_str(name);
            expanded.push('}');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("${").and_then(variable) {
            expanded.push_str(environment.get(name).ok_or_else(|| name.to_owned())?);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

/// Splits `NAME}rest`.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('}')?;
    is_variable_name(name).then_some((name, rest))
}

/// Whether `name` has the form of a variable's name: upper case letters, digits and underscores, no digit first.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::dotted;
    use serde_json::json;

    fn environment() -> Environment {
        Environment::new("/home/u", [("KEY", "k1"), ("_2", "two"), ("EMPTY", "")])
    }

    #[test]
    fn variables_in_texts_are_replaced() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = expand(text, &environment());
            let found = match &found {
                Ok(expanded) => Ok(expanded.as_deref().unwrap_or(text)),
                Err(name) => Err(name.as_str()),
            };
            assert_eq!(found, expected, "{text}");
        };
        check("plain $KEY", Ok("plain $KEY"));
        check("${KEY}", Ok("k1"));
        check("a${KEY}b${_2}c", Ok("ak1btwoc"));
        check("$${KEY}", Ok("${KEY}"));
        check("$$${KEY}", Ok("$${KEY}"));
        check("${key} ${} ${A-B} ${KEY", Ok("${key} ${} ${A-B} ${KEY"));
        check("é${KEY}é", Ok("ék1é"));
        check("${GONE}", Err("GONE"));
        check("${EMPTY}", Err("EMPTY"));
        check("${2A}", Ok("${2A}"));
    }

    #[test]
    fn values_with_missing_variables_are_named_and_left() {
        let mut document =
            json!({"a": {"x": "${KEY}", "y": "${GONE}"}, "l": ["1", "${ALSO}", "${KEY}"]});
        let missing = substitute(&mut document, &environment());
        assert_eq!(
            document,
            json!({"a": {"x": "k1", "y": "${GONE}"}, "l": ["1", "${ALSO}", "k1"]})
        );
        let named: Vec<_> = missing
            .iter()
            .map(|(path, name)| format!("{} {name}", dotted(path)))
            .collect();
        assert_eq!(named, ["a.y GONE", "l.1 ALSO"]);
    }

    #[test]
    fn the_env_block_adds_but_never_replaces() {
        let mut environment = environment();
        let block = json!({"env": {"NEW": "n", "KEY": "other", "vars": {"IN_VARS": "v", "BAD": 1}, "shellEnv": {"enabled": true}}});
        apply_env_block(&block, &mut environment);
        assert_eq!(environment.get("NEW"), Some("n"));
        assert_eq!(environment.get("IN_VARS"), Some("v"));
        assert_eq!(environment.get("KEY"), Some("k1"));
        assert_eq!(environment.get("BAD"), None);
        assert_eq!(environment.get("shellEnv"), None);
    }
}
