//! Wire names to the spellings of programming languages. Called by the emitters of code.

/// `agent.identity.get` → `AgentIdentityGet`, `NOT_LINKED` → `NotLinked`, `chatDelta` → `ChatDelta`.
pub(crate) fn pascal(name: &str) -> String {
    words(name).iter().map(|word| capitalised(word)).collect()
}

/// `agent.identity.get` → `agentIdentityGet`, `NOT_LINKED` → `notLinked`.
pub(crate) fn camel(name: &str) -> String {
    let words = words(name);
    let (first, rest) = words.split_at(words.len().min(1));
    first
        .iter()
        .cloned()
        .chain(rest.iter().map(|word| capitalised(word)))
        .collect()
}

/// `agent.identity.get` → `agent_identity_get`.
pub(crate) fn snake(name: &str) -> String {
    words(name).join("_")
}

/// `maxPayload` → `MAX_PAYLOAD`.
pub(crate) fn screaming(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

/// Lower-case words of any of the spellings that the protocol uses.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut fresh = true;
    let mut previous_upper = false;
    let chars: Vec<char> = name.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            fresh = true;
            previous_upper = false;
            continue;
        }
        let upper = c.is_ascii_uppercase();
        let next_lower = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        // A capital begins a word, but a run of capitals (`URL`, `NOT`) is one word.
        if upper && (!previous_upper || (next_lower && !fresh)) {
            fresh = true;
        }
        if fresh {
            words.push(String::new());
            fresh = false;
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
        previous_upper = upper;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (name, pascal_case, camel_case, snake_case) in [
            (
                "agent.identity.get",
                "AgentIdentityGet",
                "agentIdentityGet",
                "agent_identity_get",
            ),
            (
                "last-heartbeat",
                "LastHeartbeat",
                "lastHeartbeat",
                "last_heartbeat",
            ),
            ("NOT_LINKED", "NotLinked", "notLinked", "not_linked"),
            ("maxPayload", "MaxPayload", "maxPayload", "max_payload"),
            (
                "tts.setProvider",
                "TtsSetProvider",
                "ttsSetProvider",
                "tts_set_provider",
            ),
            (
                "canvasHostURL",
                "CanvasHostUrl",
                "canvasHostUrl",
                "canvas_host_url",
            ),
            (
                "ConnectParams",
                "ConnectParams",
                "connectParams",
                "connect_params",
            ),
            (
                "operator.admin",
                "OperatorAdmin",
                "operatorAdmin",
                "operator_admin",
            ),
            ("", "", "", ""),
        ] {
            assert_eq!(pascal(name), pascal_case, "{name}");
            assert_eq!(camel(name), camel_case, "{name}");
            assert_eq!(snake(name), snake_case, "{name}");
        }
    }
}
