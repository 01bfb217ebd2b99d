//! The typed profile's calls: one method for each method of the protocol, on every transport.

use super::types::{has_default, reference};
use super::writer::Writer;
use super::{HEAD, names};
use crate::model::{Method, Model, Outcome};

/// `extension GatewayTransport`.
pub(super) fn file(model: &Model) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.block("extension GatewayTransport", |w| {
        for method in model.methods().filter(|method| !method.handshake) {
            w.gap();
            call(w, model, method);
        }
    });
    w.finish()
}

fn call(w: &mut Writer, model: &Model, method: &Method) {
    let swift = |definition: &str| reference(model, model.definition(definition));
    let params = swift(method.call_params());
    let default = if has_default(model, method.call_params()) {
        " = .init()"
    } else {
        ""
    };
    let (result, function) = match &method.result {
        Outcome::Single { payload, nullable } => {
            let mark = if *nullable { "?" } else { "" };
            (format!("{}{mark}", swift(payload)), "call")
        }
        Outcome::Staged { first, last, .. } => (
            format!("StagedAnswer<{}, {}>", swift(first), swift(last)),
            "callStaged",
        ),
    };
    w.doc(&documentation(model, method));
    let name = names::member(&method.name);
    w.block(
        format!("public func {name}(_ params: {params}{default}) async throws -> {result}"),
        |w| {
            w.line(format!(
                "try await {function}(.{}, params)",
                names::after_dot(&names::bare(&method.name))
            ))
        },
    );
}

fn documentation(model: &Model, method: &Method) -> String {
    let mut text = format!("`{}`: {}", method.name, method.summary);
    if !method.description.is_empty() {
        text.push_str("\n\n");
        text.push_str(&method.description);
    }
    let failure = match &method.result {
        Outcome::Single { .. } => &method.failure,
        Outcome::Staged { failure, .. } => failure,
    };
    if !method.access.scopes.is_empty() {
        let scopes: Vec<String> = method
            .access
            .scopes
            .iter()
            .map(|scope| format!("`{scope}`"))
            .collect();
        text.push_str(&format!("\n\nNeeds {}.", scopes.join(" or ")));
    }
    if let Some(failure) = failure {
        let payload = reference(model, model.definition(failure));
        text.push_str(&format!(
            "\n\nA refusal may carry `{payload}`: see ``GatewayRefusal/payload(as:)``."
        ));
    }
    text
}
